package httpapi_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/server/httpapi"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// send sends an upload with the given Idempotency-Key headers and returns the response.
func send(h http.Handler, method, target, contentType, body string, keys ...string) *httptest.ResponseRecorder {
	r := newRequest(method, target, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	for _, key := range keys {
		r.Header.Add("Idempotency-Key", key)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestIdempotencyKeysOfUploads(t *testing.T) {
	t.Parallel()
	oneType, one := writeForm(t, formPart{"file", "a.md", "# a"})
	manyType, many := writeForm(t, formPart{"file", "a.md", "# a"}, formPart{"file", "b.md", "# b"}, formPart{"file", "c.md", "# c"})
	for name, test := range map[string]struct {
		method, target, contentType, body string
		key                               []string
		want                              []string // the key of each upload
	}{
		"none":          {"PUT", "/v1/documents?key=k", "text/markdown", "# k", nil, []string{""}},
		"PUT":           {"PUT", "/v1/documents?key=k", "text/markdown", "# k", []string{"a key"}, []string{"a key"}},
		"longest":       {"PUT", "/v1/documents?key=k", "text/markdown", "# k", []string{strings.Repeat("~", 255)}, []string{strings.Repeat("~", 255)}},
		"one file":      {"POST", "/v1/documents", oneType, one, []string{"key"}, []string{"key"}},
		"several files": {"POST", "/v1/documents", manyType, many, []string{"key"}, []string{"key", "key\t2", "key\t3"}},
		"several, none": {"POST", "/v1/documents", manyType, many, nil, []string{"", "", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			if w := send(newHandler(t, configOf(t, f)), test.method, test.target, test.contentType, test.body, test.key...); w.Code != http.StatusAccepted {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			var got []string
			for _, request := range f.requests {
				got = append(got, request.IdempotencyKey)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBadIdempotencyKeys(t *testing.T) {
	t.Parallel()
	formType, form := writeForm(t, formPart{"file", "a.md", "# a"})
	for name, keys := range map[string][]string{
		"empty":             {""},
		"too long":          {strings.Repeat("k", 256)},
		"not ASCII":         {"schlüssel"},
		"not UTF-8":         {"\xff"},
		"control character": {"a\tb"},
		"two":               {"a", "b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := configOf(t, newFake())
			config.Uploader = uploaderFunc(func(context.Context, document.UploadRequest, io.Reader) (document.Accepted, error) {
				t.Error("the upload was accepted")
				return document.Accepted{}, nil
			})
			h := newHandler(t, config)
			for _, w := range []*httptest.ResponseRecorder{
				send(h, "PUT", "/v1/documents?key=k", "text/markdown", "# k", keys...),
				send(h, "POST", "/v1/documents", formType, form, keys...),
			} {
				p := decode[httpapi.Problem](t, w)
				if w.Code != http.StatusBadRequest || p.Code != fault.BadRequest || !strings.Contains(p.Detail, "Idempotency-Key") {
					t.Errorf("got %d %+v, want 400 with the name of the header", w.Code, p)
				}
			}
		})
	}
}

// A replayed response has a header. The response to several files has it only if all are replayed.
func TestReplays(t *testing.T) {
	t.Parallel()
	oneType, one := writeForm(t, formPart{"file", "a.md", "# a"})
	twoType, two := writeForm(t, formPart{"file", "a.md", "# a"}, formPart{"file", "b.md", "# b"})
	for name, test := range map[string]struct {
		method, target, contentType, body string
		replayed                          []bool // for each upload
		unchanged                         bool
		status                            int
		want                              string
	}{
		"PUT":           {"PUT", "/v1/documents?key=k", "text/markdown", "# k", []bool{true}, false, 202, "true"},
		"unchanged":     {"PUT", "/v1/documents?key=k", "text/markdown", "# k", []bool{true}, true, 200, "true"},
		"first":         {"PUT", "/v1/documents?key=k", "text/markdown", "# k", []bool{false}, false, 202, ""},
		"one file":      {"POST", "/v1/documents", oneType, one, []bool{true}, false, 202, "true"},
		"both files":    {"POST", "/v1/documents", twoType, two, []bool{true, true}, false, 202, "true"},
		"one of two":    {"POST", "/v1/documents", twoType, two, []bool{true, false}, false, 202, ""},
		"first of many": {"POST", "/v1/documents", twoType, two, []bool{false, false}, false, 202, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			uploads := 0
			config := configOf(t, newFake())
			config.Uploader = uploaderFunc(func(_ context.Context, _ document.UploadRequest, body io.Reader) (document.Accepted, error) {
				if _, err := io.Copy(io.Discard, body); err != nil {
					return document.Accepted{}, err
				}
				uploads++
				return document.Accepted{Job: document.Job{ID: uuid.New()}, Replayed: test.replayed[uploads-1], Unchanged: test.unchanged}, nil
			})
			w := send(newHandler(t, config), test.method, test.target, test.contentType, test.body, "key")
			if got := w.Header().Get("Idempotency-Replayed"); w.Code != test.status || got != test.want {
				t.Errorf("got %d, Idempotency-Replayed %q; want %d, %q", w.Code, got, test.status, test.want)
			}
		})
	}
}

func TestOpenAPIDescribesIdempotency(t *testing.T) {
	t.Parallel()
	description := decode[map[string]any](t, do(newHandler(t, configOf(t, newFake())), "GET", "/openapi.json", "", ""))
	operations := description["paths"].(map[string]any)["/v1/documents"].(map[string]any)
	for _, method := range []string{"put", "post"} {
		operation := operations[method].(map[string]any)
		responses := operation["responses"].(map[string]any)
		for part, words := range map[string][]string{
			fmt.Sprint(operation["parameters"]): {"Idempotency-Key", "maxLength:255"},
			fmt.Sprint(responses["202"]):        {"Idempotency-Replayed"},
			fmt.Sprint(responses["409"]):        {"application/problem+json", "Idempotency-Key"},
			fmt.Sprint(responses["429"]):        {"application/problem+json", "Retry-After"},
		} {
			for _, word := range words {
				if !strings.Contains(part, word) {
					t.Errorf("%s: want %q in %s", method, word, part)
				}
			}
		}
	}
}

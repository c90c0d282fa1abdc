package httpapi_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func TestPutDocument(t *testing.T) {
	t.Parallel()
	f := newFake()
	h := newHandler(t, configOf(t, f))

	target := "/v1/documents?collection=c&key=a/b.md&title=T&metadata=%7B%22x%22%3A1%7D"
	w := do(h, "PUT", target, "text/markdown", "# hello")
	accepted := decode[document.Accepted](t, w)
	if w.Code != http.StatusAccepted || w.Header().Get("Location") != "/v1/jobs/"+accepted.Job.ID.String() {
		t.Errorf("got %d, Location %q; want 202 and the job", w.Code, w.Header().Get("Location"))
	}
	want := []document.UploadRequest{{Collection: "c", Key: "a/b.md", Title: "T", MediaType: "text/markdown", Metadata: json.RawMessage(`{"x":1}`)}}
	if diff := cmp.Diff(want, f.requests); diff != "" {
		t.Errorf("uploaded (-want +got):\n%s", diff)
	}
	if f.sizes[0] != int64(len("# hello")) {
		t.Errorf("got the declared size %d", f.sizes[0])
	}

	again := do(h, "PUT", target, "text/markdown", "# hello")
	if again.Code != http.StatusOK || !decode[document.Accepted](t, again).Unchanged {
		t.Errorf("the same upload again: got %d %s, want 200 and unchanged", again.Code, again.Body)
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		match, noneMatch string
		want             document.Condition
	}{
		"none":               {"", "", document.Condition{}},
		"any":                {"*", "", document.Condition{Match: []string{"*"}}},
		"no document":        {"", " * ", document.Condition{NoneMatch: []string{"*"}}},
		"one":                {`"a"`, "", document.Condition{Match: []string{"a"}}},
		"a list":             {`"a", "b" ,"c,d"`, "", document.Condition{Match: []string{"a", "b", "c,d"}}},
		"weak":               {`W/"a", "b"`, "", document.Condition{Match: []string{"b"}}},
		"only weak":          {`W/"a"`, "", document.Condition{Match: []string{}}},
		"weak in a negation": {"", `W/"a"`, document.Condition{NoneMatch: []string{"a"}}},
		"a star in quotes":   {`"*"`, "", document.Condition{Match: []string{}}},
		"both":               {`"a"`, `"b"`, document.Condition{Match: []string{"a"}, NoneMatch: []string{"b"}}},
		"two lines":          {"", "\"a\"\n\"b\"", document.Condition{NoneMatch: []string{"a", "b"}}},
		"commas":             {`, ,"a",, "b" , ,`, "", document.Condition{Match: []string{"a", "b"}}},
	} {
		f := newFake()
		h := newHandler(t, configOf(t, f))
		setConditions := func(r *http.Request) {
			for name, lines := range map[string]string{"If-Match": test.match, "If-None-Match": test.noneMatch} {
				if lines != "" {
					r.Header[name] = strings.Split(lines, "\n")
				}
			}
		}
		r := newRequest("PUT", "/v1/documents?key=a.md", strings.NewReader("# a"))
		setConditions(r)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusAccepted || w.Header().Get("ETag") != `"`+f.documents[0].SHA256+`"` {
			t.Errorf("%s: got %d, ETag %s", name, w.Code, w.Header().Get("ETag"))
			continue
		}
		if diff := cmp.Diff(test.want, f.requests[0].Condition); diff != "" {
			t.Errorf("%s: upload (-want +got):\n%s", name, diff)
		}
		r = newRequest("DELETE", "/v1/documents/"+f.documents[0].ID.String(), nil)
		setConditions(r)
		w = httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if diff := cmp.Diff([]document.Condition{test.want}, f.conditions); diff != "" || w.Code != http.StatusNoContent {
			t.Errorf("%s: delete: got %d (-want +got):\n%s", name, w.Code, diff)
		}
	}
	f := newFake()
	h := newHandler(t, configOf(t, f))
	id := put(t, h, "a.md", "# a").Document.ID.String()
	for _, bad := range []string{"", " ", ",", "a", `"a`, `"a" "b"`, `"a", *`, `"a";`, `w/"a"`, "\"\x00\""} {
		for _, target := range []string{"PUT /v1/documents?key=b.md", "DELETE /v1/documents/" + id, "POST /v1/documents"} {
			method, path, _ := strings.Cut(target, " ")
			contentType, body := writeForm(t, formPart{"file", "b.md", "# b"})
			if method != "POST" {
				contentType, body = "", "# b"
			}
			r := newRequest(method, path, strings.NewReader(body))
			r.Header.Set("Content-Type", contentType)
			r.Header.Set("If-Match", bad)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			wantProblem(t, w, 400, "bad_request", "If-Match")
		}
	}
	f.failWith(fault.New(fault.PreconditionFailed, "another version"))
	wantProblem(t, do(h, "PUT", "/v1/documents?key=a.md", "", "# b"), 412, "precondition_failed", "another version")
	if len(f.documents) != 1 {
		t.Errorf("stored %v, want only the first document", f.documents)
	}
}

func TestUploadErrors(t *testing.T) {
	t.Parallel()
	offset := int64(3)
	for name, test := range map[string]struct {
		query, contentEncoding, body string
		status                       int
		code                         string
		offset                       *int64
	}{
		"no key":                  {"", "", "# a", 400, "bad_request", nil},
		"a key with ..":           {"key=../a", "", "# a", 400, "bad_request", nil},
		"a NUL in the key":        {"key=a%00", "", "# a", 400, "bad_request", nil},
		"a key that is not UTF-8": {"key=%ff", "", "# a", 400, "bad_request", nil},
		"an invalid query":        {"key=%zz", "", "# a", 400, "bad_request", nil},
		"an unknown parameter":    {"key=a&colection=c", "", "# a", 400, "bad_request", nil},
		"not UTF-8":               {"key=a", "", "abc\xff", 422, "invalid_encoding", &offset},
		"empty":                   {"key=a", "", " \n", 422, "empty_document", nil},
		"an image":                {"key=a", "", "\x89PNG", 415, "unsupported_media_type", nil},
		"compressed":              {"key=a", "gzip", "x", 415, "unsupported_media_type", nil},
		"a part of a document":    {"key=a", "range", "x", 400, "bad_request", nil},
		"base64":                  {"key=a", "base64", "x", 415, "unsupported_media_type", nil},
		"too large":               {"key=a", "", strings.Repeat("x", 1<<20+1), 413, "too_large", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			r := newRequest("PUT", "/v1/documents?"+test.query, strings.NewReader(test.body))
			switch test.contentEncoding {
			case "range":
				r.Header.Set("Content-Range", "bytes 0-0/10")
			case "base64":
				r.Header.Set("Content-Transfer-Encoding", "base64")
			default:
				r.Header.Set("Content-Encoding", test.contentEncoding)
			}
			w := httptest.NewRecorder()
			newHandler(t, configOf(t, f)).ServeHTTP(w, r)
			p := wantProblem(t, w, test.status, test.code, "")
			if diff := cmp.Diff(test.offset, p.Offset); diff != "" {
				t.Errorf("offset (-want +got):\n%s", diff)
			}
			if len(f.documents) != 0 {
				t.Errorf("stored %v, want no documents", f.documents)
			}
		})
	}
}

// uploaderFunc is a function as an Uploader.
type uploaderFunc func(context.Context, document.UploadRequest, io.Reader) (document.Accepted, error)

func (f uploaderFunc) Upload(ctx context.Context, request document.UploadRequest, body io.Reader) (document.Accepted, error) {
	return f(ctx, request, body)
}

// The uploader gets the first bytes before the client has sent the last ones: neither kind of upload
// collects the body first.
func TestUploadsStream(t *testing.T) {
	t.Parallel()
	contentType, form := writeForm(t, formPart{"file", "a.md", "first last"})
	for name, test := range map[string]struct{ method, contentType, body string }{
		"PUT":  {"PUT", "text/markdown", "first last"},
		"POST": {"POST", contentType, form},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			started := make(chan struct{})
			config := configOf(t, newFake())
			config.Uploader = uploaderFunc(func(_ context.Context, _ document.UploadRequest, body io.Reader) (document.Accepted, error) {
				if _, err := io.ReadFull(body, make([]byte, len("first"))); err != nil {
					return document.Accepted{}, err
				}
				close(started)
				_, err := io.Copy(io.Discard, body)
				return document.Accepted{}, err
			})
			server := httptest.NewServer(newHandler(t, config))
			t.Cleanup(server.Close)

			r, w := io.Pipe()
			before, after, _ := strings.Cut(test.body, " last")
			go func() {
				// The multipart reader keeps back as many bytes as a boundary has.
				_, _ = io.WriteString(w, before+strings.Repeat(" ", 100))
				select {
				case <-started:
					_, _ = io.WriteString(w, " last"+after)
					_ = w.Close()
				case <-time.After(10 * time.Second):
					_ = w.CloseWithError(io.ErrClosedPipe)
				}
			}()
			request, err := http.NewRequestWithContext(t.Context(), test.method, server.URL+"/v1/documents?key=k", r)
			if test.method == "POST" {
				request.URL.RawQuery = ""
			}
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", test.contentType)
			response, err := server.Client().Do(request)
			if err != nil {
				t.Fatalf("the uploader did not get the first bytes: %v", err)
			}
			defer response.Body.Close()
			if response.StatusCode != http.StatusAccepted {
				t.Errorf("got %s, want 202", response.Status)
			}
		})
	}
}

package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/server/httpapi"
)

func TestPutDocument(t *testing.T) {
	t.Parallel()
	f := newFake()
	h := httpapi.New(configOf(t, f))

	target := "/v1/documents?collection=c&key=a/b.md&title=T&metadata=%7B%22x%22%3A1%7D"
	w := do(h, "PUT", target, "text/markdown", "# hello")
	accepted := decode[document.Accepted](t, w)
	if w.Code != http.StatusAccepted || w.Header().Get("Location") != "/v1/jobs/"+accepted.Job.ID.String() {
		t.Errorf("answer %d, Location %q: want 202 and the job", w.Code, w.Header().Get("Location"))
	}
	want := []document.UploadRequest{{Collection: "c", Key: "a/b.md", Title: "T", MediaType: "text/markdown", Metadata: json.RawMessage(`{"x":1}`)}}
	if diff := cmp.Diff(want, f.requests); diff != "" {
		t.Errorf("uploaded (-want +got):\n%s", diff)
	}
	if f.sizes[0] != int64(len("# hello")) {
		t.Errorf("the declared size is %d", f.sizes[0])
	}

	again := do(h, "PUT", target, "text/markdown", "# hello")
	if again.Code != http.StatusOK || !decode[document.Accepted](t, again).Unchanged {
		t.Errorf("the same again: %d %s, want 200 and unchanged", again.Code, again.Body)
	}
}

// formPart is a part of a form: a file if it has a file name.
type formPart struct{ name, file, value string }

func writeForm(t *testing.T, parts ...formPart) (contentType, body string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range parts {
		var part io.Writer
		var err error
		if p.file != "" {
			part, err = w.CreateFormFile(p.name, p.file)
		} else {
			part, err = w.CreateFormField(p.name)
		}
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(part, p.value)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), b.String()
}

func TestPostDocuments(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		parts []formPart
		want  []document.UploadRequest
	}{
		"a file only": {
			parts: []formPart{{"file", "a.md", "# a"}},
			want:  []document.UploadRequest{{Collection: "default", Key: "a.md"}},
		},
		"all fields": {
			parts: []formPart{{"collection", "", "c"}, {"key", "", "k"}, {"title", "", "T"}, {"metadata", "", "{}"}, {"file", "a.md", "# a"}},
			want:  []document.UploadRequest{{Collection: "c", Key: "k", Title: "T", Metadata: json.RawMessage("{}")}},
		},
		"several files: collection and metadata stay, key and title do not": {
			parts: []formPart{
				{"collection", "", "c"}, {"metadata", "", "{}"}, {"key", "", "k"}, {"title", "", "T"}, {"file", "a.md", "# a"},
				{"file", "b.md", "# b"}, {"key", "", "third"}, {"file", "c.md", "# c"},
			},
			want: []document.UploadRequest{
				{Collection: "c", Key: "k", Title: "T", Metadata: json.RawMessage("{}")},
				{Collection: "c", Key: "b.md", Metadata: json.RawMessage("{}")},
				{Collection: "c", Key: "third", Metadata: json.RawMessage("{}")},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			contentType, body := writeForm(t, test.parts...)
			w := do(httpapi.New(configOf(t, f)), "POST", "/v1/documents", contentType, body)
			if w.Code != http.StatusAccepted {
				t.Fatalf("answer %d %s, want 202", w.Code, w.Body)
			}
			for i := range test.want {
				test.want[i].MediaType = "application/octet-stream" // what CreateFormFile says
			}
			if diff := cmp.Diff(test.want, f.requests); diff != "" {
				t.Errorf("uploaded (-want +got):\n%s", diff)
			}
			if f.sizes[0] != int64(len(body)) {
				t.Errorf("the declared size is %d, want that of the form", f.sizes[0])
			}
			if len(test.want) == 1 {
				if got := decode[document.Accepted](t, w).Document.Key; got != test.want[0].Key {
					t.Errorf("answered key %q, want %q", got, test.want[0].Key)
				}
				return
			}
			if got := decode[document.List[document.Accepted]](t, w).Items; len(got) != len(test.want) {
				t.Errorf("answered %d items, want %d", len(got), len(test.want))
			}
		})
	}
}

func TestBrokenFormsStoreNothing(t *testing.T) {
	t.Parallel()
	contentType, whole := writeForm(t, formPart{"key", "", "k"}, formPart{"file", "a.md", "# a document"})
	trailingType, trailing := writeForm(t, formPart{"file", "a.md", "# a"}, formPart{"collection", "", "too late"})
	unknownType, unknown := writeForm(t, formPart{"colection", "", "c"}, formPart{"file", "a.md", "# a"})
	noFileType, noFile := writeForm(t, formPart{"key", "", "k"})
	largeType, large := writeForm(t, formPart{"title", "", strings.Repeat("x", 64<<10+1)}, formPart{"file", "a.md", "# a"})
	nulType, nul := writeForm(t, formPart{"title", "", "a\x00b"}, formPart{"file", "a.md", "# a"})
	for name, test := range map[string]struct {
		contentType, body string
		status            int
		code, detail      string
	}{
		"no boundary":               {"multipart/form-data", whole, 400, "bad_request", "no boundary"},
		"another boundary":          {"multipart/form-data; boundary=other", whole, 400, "bad_request", "multipart"},
		"not a form":                {"application/json", "{}", 415, "unsupported_media_type", "multipart/form-data"},
		"nothing":                   {contentType, "", 400, "bad_request", "multipart"},
		"cut in a field":            {contentType, whole[:60], 400, "bad_request", "multipart"},
		"cut in the file":           {contentType, whole[:strings.Index(whole, "document")], 400, "bad_request", "multipart"},
		"cut after the file":        {contentType, whole[:strings.LastIndex(whole, "--")], 400, "bad_request", "multipart"},
		"a field after the file":    {trailingType, trailing, 400, "bad_request", `no file follows form field "collection"`},
		"an unknown field":          {unknownType, unknown, 400, "bad_request", `"colection" is unknown`},
		"no file":                   {noFileType, noFile, 400, "bad_request", `no file follows form field "key"`},
		"a field that is too large": {largeType, large, 413, "too_large", `"title"`},
		"a NUL in a field":          {nulType, nul, 400, "bad_request", "NUL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			w := do(httpapi.New(configOf(t, f)), "POST", "/v1/documents", test.contentType, test.body)
			wantProblem(t, w, test.status, test.code, test.detail)
			if len(f.documents) != 0 {
				t.Errorf("stored %v, want nothing", f.documents)
			}
		})
	}
}

func TestLaterFileFails(t *testing.T) {
	t.Parallel()
	f := newFake()
	contentType, body := writeForm(t, formPart{"file", "a.md", "# a"}, formPart{"file", "b.md", "   "}, formPart{"file", "c.md", "# c"})
	w := do(httpapi.New(configOf(t, f)), "POST", "/v1/documents", contentType, body)
	wantProblem(t, w, 422, "empty_document", "file 2: empty; the 1 before it were accepted")
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
		"an unreadable query":     {"key=%zz", "", "# a", 400, "bad_request", nil},
		"an unknown parameter":    {"key=a&colection=c", "", "# a", 400, "bad_request", nil},
		"not UTF-8":               {"key=a", "", "abc\xff", 422, "invalid_encoding", &offset},
		"empty":                   {"key=a", "", " \n", 422, "empty_document", nil},
		"an image":                {"key=a", "", "\x89PNG", 415, "unsupported_media_type", nil},
		"compressed":              {"key=a", "gzip", "x", 415, "unsupported_media_type", nil},
		"too large":               {"key=a", "", strings.Repeat("x", 1<<20+1), 413, "too_large", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			r := httptest.NewRequest("PUT", "/v1/documents?"+test.query, strings.NewReader(test.body))
			r.Header.Set("Content-Encoding", test.contentEncoding)
			w := httptest.NewRecorder()
			httpapi.New(configOf(t, f)).ServeHTTP(w, r)
			p := wantProblem(t, w, test.status, test.code, "")
			if diff := cmp.Diff(test.offset, p.Offset); diff != "" {
				t.Errorf("offset (-want +got):\n%s", diff)
			}
			if len(f.documents) != 0 {
				t.Errorf("stored %v, want nothing", f.documents)
			}
		})
	}
}

// uploaderFunc is an Uploader that is a function.
type uploaderFunc func(context.Context, document.UploadRequest, io.Reader) (document.Accepted, error)

func (f uploaderFunc) Upload(ctx context.Context, request document.UploadRequest, body io.Reader) (document.Accepted, error) {
	return f(ctx, request, body)
}

// The uploader must see the first bytes while the client still holds back the
// last: neither way of uploading collects the body first.
func TestUploadsStream(t *testing.T) {
	t.Parallel()
	contentType, form := writeForm(t, formPart{"file", "a.md", "first last"})
	for name, test := range map[string]struct{ method, contentType, body string }{
		"PUT":  {"PUT", "text/markdown", "first last"},
		"POST": {"POST", contentType, form},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seen := make(chan struct{})
			config := configOf(t, newFake())
			config.Uploader = uploaderFunc(func(_ context.Context, _ document.UploadRequest, body io.Reader) (document.Accepted, error) {
				if _, err := io.ReadFull(body, make([]byte, len("first"))); err != nil {
					return document.Accepted{}, err
				}
				close(seen)
				_, err := io.Copy(io.Discard, body)
				return document.Accepted{}, err
			})
			server := httptest.NewServer(httpapi.New(config))
			t.Cleanup(server.Close)

			r, w := io.Pipe()
			before, after, _ := strings.Cut(test.body, " last")
			go func() {
				// The multipart reader holds back as many bytes as a boundary has.
				_, _ = io.WriteString(w, before+strings.Repeat(" ", 100))
				select {
				case <-seen:
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
				t.Fatalf("the uploader did not see the first bytes: %v", err)
			}
			defer response.Body.Close()
			if response.StatusCode != http.StatusAccepted {
				t.Errorf("answer %s, want 202", response.Status)
			}
		})
	}
}

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

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/server/httpapi"
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
			w := do(newHandler(t, configOf(t, f)), "POST", "/v1/documents", contentType, body)
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
			if got := decode[httpapi.FormAnswer](t, w).Items; len(got) != len(test.want) {
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
			w := do(newHandler(t, configOf(t, f)), "POST", "/v1/documents", test.contentType, test.body)
			wantProblem(t, w, test.status, test.code, test.detail)
			if len(f.documents) != 0 {
				t.Errorf("stored %v, want nothing", f.documents)
			}
		})
	}
}

// Each of several files is answered for, accepted or not.
func TestFormAnswersForEachFile(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", 1<<20+1)
	for name, test := range map[string]struct {
		parts  []formPart
		status int
		want   []string // key and code of each item
	}{
		"all accepted": {[]formPart{{"file", "a.md", "# a"}, {"file", "b.md", "# b"}}, 202, []string{"a.md", "b.md"}},
		"one is empty": {[]formPart{{"file", "a.md", "# a"}, {"file", "b.md", "   "}, {"file", "c.md", "# c"}}, 207,
			[]string{"a.md", "b.md empty_document", "c.md"}},
		"the first is no text": {[]formPart{{"file", "a.md", "\x89PNG"}, {"file", "b.md", "# b"}}, 207,
			[]string{"a.md unsupported_media_type", "b.md"}},
		"all are refused": {[]formPart{{"file", "a.md", " "}, {"file", "b.md", "\xff"}}, 207, []string{"a.md empty_document", "b.md invalid_encoding"}},
		"one is too large": {[]formPart{{"file", "a.md", "# a"}, {"file", "b.md", large}, {"file", "c.md", "# c"}}, 207,
			[]string{"a.md", "b.md too_large"}},
		"the form is wrong later": {[]formPart{{"file", "a.md", "# a"}, {"file", "b.md", "# b"}, {"nonsense", "", "x"}, {"file", "c.md", "# c"}}, 207,
			[]string{"a.md", "b.md bad_request"}},
		"the third has the key of the first": {[]formPart{{"file", "a.md", "# a"}, {"file", "b.md", "# b"}, {"file", "a.md", "# c"}, {"file", "d.md", "# d"}}, 207,
			[]string{"a.md", "b.md", "a.md bad_request", "d.md"}},
		"the third has the key of the second": {[]formPart{{"file", "a.md", "# a"}, {"file", "b.md", "# b"}, {"file", "b.md", "# c"}}, 207,
			[]string{"a.md", "b.md bad_request"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			contentType, body := writeForm(t, test.parts...)
			w := do(newHandler(t, configOf(t, f)), "POST", "/v1/documents", contentType, body)
			if w.Code != test.status {
				t.Fatalf("answer %d %s, want %d", w.Code, w.Body, test.status)
			}
			var got []string
			stored := 0
			for _, item := range decode[httpapi.FormAnswer](t, w).Items {
				switch {
				case item.Problem != nil && item.Document == nil && item.Job == nil:
					got = append(got, item.Key+" "+string(item.Problem.Code))
				case item.Problem == nil && item.Document.Key == item.Key && item.Job.DocumentID == item.Document.ID:
					got = append(got, item.Key)
					stored++
				default:
					t.Errorf("item %+v", item)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("items (-want +got):\n%s", diff)
			}
			if len(f.documents) != stored {
				t.Errorf("stored %d documents, and answered for %d", len(f.documents), stored)
			}
		})
	}
}

// What is wrong with the whole form, as far as it can be known before anything
// is accepted, is the answer to all of it.
func TestFormsThatAreRefusedWhole(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		parts  []formPart
		detail string
	}{
		"the same name":               {[]formPart{{"file", "a.md", "# a"}, {"file", "a.md", "# b"}}, `both have the key "a.md"`},
		"a key and a name":            {[]formPart{{"key", "", "a.md"}, {"file", "x", "# a"}, {"file", "a.md", "# b"}}, "files 1 and 2"},
		"a name in two spellings":     {[]formPart{{"file", "caf\u00e9.md", "# a"}, {"file", "cafe\u0301.md", "# b"}}, "both have the key"},
		"a name that leads elsewhere": {[]formPart{{"file", "/etc/motd", "# a"}}, "not a relative path"},
		"a name of another system":    {[]formPart{{"file", `C:\docs\a.md`, "# a"}}, "not a relative path"},
		"an empty segment":            {[]formPart{{"file", "docs//a.md", "# a"}}, "not a relative path"},
		"up and away":                 {[]formPart{{"file", "../a.md", "# a"}}, `key "../a.md"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			contentType, body := writeForm(t, test.parts...)
			wantProblem(t, do(newHandler(t, configOf(t, f)), "POST", "/v1/documents", contentType, body), 400, "bad_request", test.detail)
			if len(f.documents) != 0 {
				t.Errorf("stored %v, want nothing", f.documents)
			}
		})
	}
	// In another collection, the same name is another key.
	contentType, body := writeForm(t, formPart{"file", "a.md", "# a"}, formPart{"collection", "", "c"}, formPart{"file", "a.md", "# a"})
	if w := do(newHandler(t, configOf(t, newFake())), "POST", "/v1/documents", contentType, body); w.Code != http.StatusAccepted {
		t.Errorf("answer %d %s", w.Code, w.Body)
	}
}

func TestFileNamesAreKeys(t *testing.T) {
	t.Parallel()
	f := newFake()
	h := newHandler(t, configOf(t, f))
	for disposition, key := range map[string]string{
		`form-data; name="file"; filename="docs/a/README.md"`:           "docs/a/README.md",
		`form-data; name="file"; filename*=UTF-8''docs%2Fr%C3%A4der.md`: "docs/räder.md",
		`form-data; name="file"; filename="a \"quoted\" name.md"`:       `a "quoted" name.md`,
	} {
		body := "--b\r\nContent-Disposition: " + disposition + "\r\n\r\n# " + key + "\r\n--b--\r\n"
		w := do(h, "POST", "/v1/documents", "multipart/form-data; boundary=b", body)
		if got := decode[document.Accepted](t, w).Document.Key; w.Code != http.StatusAccepted || got != key {
			t.Errorf("%s: %d, key %q, want %q", disposition, w.Code, got, key)
		}
	}
	for header, want := range map[string]string{"base64": "base64", "quoted-printable": "quoted-printable"} {
		body := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.md\"\r\nContent-Transfer-Encoding: " + header + "\r\n\r\nIyBh\r\n--b--\r\n"
		wantProblem(t, do(h, "POST", "/v1/documents", "multipart/form-data; boundary=b", body), 415, "unsupported_media_type", want)
	}
	// What the server has no room for is no fault of the files after it.
	f.failWith(fault.New(fault.Unavailable, "no memory").WithRetryAfter(7 * time.Second))
	contentType, body := writeForm(t, formPart{"file", "a.md", "# a"}, formPart{"file", "b.md", "# b"})
	w := do(h, "POST", "/v1/documents", contentType, body)
	if wantProblem(t, w, 503, "unavailable", "no memory"); w.Header().Get("Retry-After") != "7" {
		t.Errorf("Retry-After %q, want 7", w.Header().Get("Retry-After"))
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
		"a new one":          {"", " * ", document.Condition{NoneMatch: []string{"*"}}},
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
			t.Errorf("%s: answer %d, ETag %s", name, w.Code, w.Header().Get("ETag"))
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
			t.Errorf("%s: delete answers %d (-want +got):\n%s", name, w.Code, diff)
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
	f.failWith(fault.New(fault.PreconditionFailed, "it is another one"))
	wantProblem(t, do(h, "PUT", "/v1/documents?key=a.md", "", "# b"), 412, "precondition_failed", "another one")
	if len(f.documents) != 1 {
		t.Errorf("stored %v, want the first only", f.documents)
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
		"an unreadable query":     {"key=%zz", "", "# a", 400, "bad_request", nil},
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
			server := httptest.NewServer(newHandler(t, config))
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

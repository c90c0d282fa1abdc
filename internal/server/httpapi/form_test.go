package httpapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/server/httpapi"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// formPart is a part of a form: a file if it has a file name, else a field.
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
		"only a file": {
			parts: []formPart{{"file", "a.md", "# a"}},
			want:  []document.UploadRequest{{Collection: "default", Key: "a.md"}},
		},
		"all fields": {
			parts: []formPart{{"collection", "", "c"}, {"key", "", "k"}, {"title", "", "T"}, {"metadata", "", "{}"}, {"file", "a.md", "# a"}},
			want:  []document.UploadRequest{{Collection: "c", Key: "k", Title: "T", Metadata: json.RawMessage("{}")}},
		},
		"several files: collection and metadata apply to all, key and title to one": {
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
				t.Fatalf("got %d %s, want 202", w.Code, w.Body)
			}
			for i := range test.want {
				test.want[i].MediaType = "application/octet-stream" // CreateFormFile sets it
			}
			if diff := cmp.Diff(test.want, f.requests); diff != "" {
				t.Errorf("uploaded (-want +got):\n%s", diff)
			}
			if f.sizes[0] != int64(len(body)) {
				t.Errorf("got the declared size %d, want the size of the form", f.sizes[0])
			}
			if len(test.want) == 1 {
				if got := decode[document.Accepted](t, w).Document.Key; got != test.want[0].Key {
					t.Errorf("got key %q, want %q", got, test.want[0].Key)
				}
				return
			}
			if got := decode[httpapi.FormAnswer](t, w).Items; len(got) != len(test.want) {
				t.Errorf("got %d items, want %d", len(got), len(test.want))
			}
		})
	}
}

func TestBrokenFormsStoreNothing(t *testing.T) {
	t.Parallel()
	contentType, complete := writeForm(t, formPart{"key", "", "k"}, formPart{"file", "a.md", "# a document"})
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
		"no boundary":               {"multipart/form-data", complete, 400, "bad_request", "no boundary"},
		"another boundary":          {"multipart/form-data; boundary=other", complete, 400, "bad_request", "multipart"},
		"not a form":                {"application/json", "{}", 415, "unsupported_media_type", "multipart/form-data"},
		"empty":                     {contentType, "", 400, "bad_request", "multipart"},
		"truncated in a field":      {contentType, complete[:60], 400, "bad_request", "multipart"},
		"truncated in the file":     {contentType, complete[:strings.Index(complete, "document")], 400, "bad_request", "multipart"},
		"truncated after the file":  {contentType, complete[:strings.LastIndex(complete, "--")], 400, "bad_request", "multipart"},
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
				t.Errorf("stored %v, want no documents", f.documents)
			}
		})
	}
}

// The response to a form has a result for each of several files.
func TestFormResponseHasEachFile(t *testing.T) {
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
		"the first is not text": {[]formPart{{"file", "a.md", "\x89PNG"}, {"file", "b.md", "# b"}}, 207,
			[]string{"a.md unsupported_media_type", "b.md"}},
		"all are refused": {[]formPart{{"file", "a.md", " "}, {"file", "b.md", "\xff"}}, 207, []string{"a.md empty_document", "b.md invalid_encoding"}},
		"one is too large": {[]formPart{{"file", "a.md", "# a"}, {"file", "b.md", large}, {"file", "c.md", "# c"}}, 207,
			[]string{"a.md", "b.md too_large"}},
		"an error later in the form": {[]formPart{{"file", "a.md", "# a"}, {"file", "b.md", "# b"}, {"unknown", "", "x"}, {"file", "c.md", "# c"}}, 207,
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
				t.Fatalf("got %d %s, want %d", w.Code, w.Body, test.status)
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
					t.Errorf("got the item %+v, want a document and a job, or a problem", item)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("items (-want +got):\n%s", diff)
			}
			if len(f.documents) != stored {
				t.Errorf("stored %d documents, but accepted %d", len(f.documents), stored)
			}
		})
	}
}

// If an error is found before a file is accepted, and applies to the form or to all its files, the
// complete form is refused.
func TestRefusedForms(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		parts  []formPart
		detail string
	}{
		"the same name":           {[]formPart{{"file", "a.md", "# a"}, {"file", "a.md", "# b"}}, `both have the key "a.md"`},
		"a key and a name":        {[]formPart{{"key", "", "a.md"}, {"file", "x", "# a"}, {"file", "a.md", "# b"}}, "files 1 and 2"},
		"a name in two spellings": {[]formPart{{"file", "caf\u00e9.md", "# a"}, {"file", "cafe\u0301.md", "# b"}}, "both have the key"},
		"an absolute name":        {[]formPart{{"file", "/etc/motd", "# a"}}, "not a relative path"},
		"a Windows path":          {[]formPart{{"file", `C:\docs\a.md`, "# a"}}, "not a relative path"},
		"an empty segment":        {[]formPart{{"file", "docs//a.md", "# a"}}, "not a relative path"},
		"a name with ..":          {[]formPart{{"file", "../a.md", "# a"}}, `key "../a.md"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			contentType, body := writeForm(t, test.parts...)
			wantProblem(t, do(newHandler(t, configOf(t, f)), "POST", "/v1/documents", contentType, body), 400, "bad_request", test.detail)
			if len(f.documents) != 0 {
				t.Errorf("stored %v, want no documents", f.documents)
			}
		})
	}
	// The same name in two collections is allowed.
	contentType, body := writeForm(t, formPart{"file", "a.md", "# a"}, formPart{"collection", "", "c"}, formPart{"file", "a.md", "# a"})
	if w := do(newHandler(t, configOf(t, newFake())), "POST", "/v1/documents", contentType, body); w.Code != http.StatusAccepted {
		t.Errorf("got %d %s, want 202", w.Code, w.Body)
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
			t.Errorf("%s: got %d and key %q, want key %q", disposition, w.Code, got, key)
		}
	}
	for header, want := range map[string]string{"base64": "base64", "quoted-printable": "quoted-printable"} {
		body := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.md\"\r\nContent-Transfer-Encoding: " + header + "\r\n\r\nIyBh\r\n--b--\r\n"
		wantProblem(t, do(h, "POST", "/v1/documents", "multipart/form-data; boundary=b", body), 415, "unsupported_media_type", want)
	}
	// A server that is unavailable for one file is unavailable for the complete form.
	f.failWith(fault.New(fault.Unavailable, "no memory").WithRetryAfter(7 * time.Second))
	contentType, body := writeForm(t, formPart{"file", "a.md", "# a"}, formPart{"file", "b.md", "# b"})
	w := do(h, "POST", "/v1/documents", contentType, body)
	if wantProblem(t, w, 503, "unavailable", "no memory"); w.Header().Get("Retry-After") != "7" {
		t.Errorf("got Retry-After %q, want 7", w.Header().Get("Retry-After"))
	}
}

package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

func TestDocuments(t *testing.T) {
	t.Parallel()
	h := newHandler(t, configOf(t, newFake()))
	if got, want := do(h, "GET", "/v1/documents", "", "").Body.String(), "{\"items\":[]}\n"; got != want {
		t.Errorf("no documents: got %q, want %q", got, want)
	}
	doc := put(t, h, "a/one.md", "# one").Document
	put(t, h, "b/two.md", "# two")

	list := decode[document.List[document.Document]](t, do(h, "GET", "/v1/documents?key_prefix=a/&state=pending&limit=1", "", ""))
	if diff := cmp.Diff([]document.Document{doc}, list.Items, cmp.FilterPath(isObject, cmp.Ignore())); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	target := "/v1/documents/" + doc.ID.String()
	if got := decode[document.Document](t, do(h, "GET", target, "", "")); got.Key != doc.Key {
		t.Errorf("got document %q, want %q", got.Key, doc.Key)
	}
	if got := decode[document.List[document.Passage]](t, do(h, "GET", target+"/passages", "", "")); len(got.Items) != 1 || got.Items[0].Content != "# one" {
		t.Errorf("got passages %+v", got)
	}
	wantProblem(t, do(h, "GET", target+"/summary", "", ""), 404, "not_found", "no summary yet")

	if w := do(h, "DELETE", target, "", ""); w.Code != http.StatusNoContent || w.Body.Len() != 0 {
		t.Errorf("DELETE: got %d %q, want 204 and no body", w.Code, w.Body)
	}
	for _, rest := range []string{"", "/content", "/passages", "/summary"} {
		wantProblem(t, do(h, "GET", target+rest, "", ""), 404, "not_found", doc.ID.String())
	}
	wantProblem(t, do(h, "DELETE", target, "", ""), 404, "not_found", doc.ID.String())
	wantProblem(t, do(h, "GET", "/v1/documents?cursor=x", "", ""), 400, "bad_request", "cursor")
}

// isObject reports whether a field is the name in object storage, which is not in responses.
func isObject(p cmp.Path) bool { return p.Last().String() == ".Object" }

func TestContent(t *testing.T) {
	t.Parallel()
	h := newHandler(t, configOf(t, newFake()))
	doc := put(t, h, "a.md", "0123456789").Document
	etag := `"` + doc.SHA256 + `"`
	for name, test := range map[string]struct {
		method  string
		headers map[string]string
		status  int
		body    string
		rng     string
	}{
		"complete":                   {"GET", nil, 200, "0123456789", ""},
		"head":                       {"HEAD", nil, 200, "", ""},
		"a range":                    {"GET", map[string]string{"Range": "bytes=2-4"}, 206, "234", "bytes 2-4/10"},
		"the last bytes":             {"GET", map[string]string{"Range": "bytes=-3"}, 206, "789", "bytes 7-9/10"},
		"If-Range, the same version": {"GET", map[string]string{"Range": "bytes=0-0", "If-Range": etag}, 206, "0", "bytes 0-0/10"},
		"If-Range, another version":  {"GET", map[string]string{"Range": "bytes=0-0", "If-Range": `"other"`}, 200, "0123456789", ""},
		"If-None-Match":              {"GET", map[string]string{"If-None-Match": etag}, 304, "", ""},
		"a range outside":            {"GET", map[string]string{"Range": "bytes=10-"}, 416, "", "bytes */10"},
		"an invalid range":           {"GET", map[string]string{"Range": "bytes=x"}, 416, "", ""},
		"If-Match, another version":  {"GET", map[string]string{"If-Match": `"other"`}, 412, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRequest(test.method, "/v1/documents/"+doc.ID.String()+"/content", nil)
			for name, value := range test.headers {
				r.Header.Set(name, value)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if got := w.Header().Get("Content-Range"); got != test.rng {
				t.Errorf("Content-Range %q, want %q", got, test.rng)
			}
			if test.status >= 400 {
				code := "bad_request"
				if test.status == http.StatusPreconditionFailed {
					code = "precondition_failed"
				}
				wantProblem(t, w, test.status, code, "")
				return
			}
			if w.Code != test.status || w.Body.String() != test.body {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, test.status, test.body)
			}
			want := map[string]string{"ETag": etag, "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox"}
			if test.status != http.StatusNotModified {
				want["Content-Type"] = "text/markdown; charset=utf-8"
			}
			for name, value := range want {
				if got := w.Header().Get(name); got != value {
					t.Errorf("%s %q, want %q", name, got, value)
				}
			}
		})
	}
}

// Key prefixes are normalised, like keys.
func TestKeyPrefixesAreNormalised(t *testing.T) {
	t.Parallel()
	f := newFake()
	h := newHandler(t, configOf(t, f))
	put(t, h, "caf\u00e9/menu.md", "# menu")
	list := decode[document.List[document.Document]](t, do(h, "GET", "/v1/documents?key_prefix=cafe%CC%81/", "", ""))
	if len(list.Items) != 1 {
		t.Errorf("listed %d documents, want 1", len(list.Items))
	}
	do(h, "POST", "/v1/search", "application/json", `{"query":"q","filter":{"key_prefix":"cafe\u0301/"}}`)
	do(h, "POST", "/v1/reindexes", "application/json", `{"key_prefix":"cafe\u0301/","force":true}`)
	if len(f.searches) != 1 || f.searches[0].KeyPrefix != "caf\u00e9/" || len(f.beginRequests) != 1 || f.beginRequests[0].KeyPrefix != "caf\u00e9/" {
		t.Errorf("got searches %+v and reindexes %+v", f.searches, f.beginRequests)
	}
}

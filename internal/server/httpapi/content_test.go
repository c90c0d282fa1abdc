package httpapi_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/server/httpapi"
)

// Whatever object storage holds under a document's name, the document's ETag
// never comes with other bytes.
func TestContentThatIsLost(t *testing.T) {
	t.Parallel()
	const text = "0123456789"
	for name, damage := range map[string]func(f *fake, object string){
		"gone":      func(f *fake, object string) { delete(f.objects, object) },
		"empty":     func(f *fake, object string) { f.objects[object] = nil },
		"truncated": func(f *fake, object string) { f.objects[object] = []byte(text[:5]) },
		"longer":    func(f *fake, object string) { f.objects[object] = []byte(text + "x") },
		"replaced":  func(f *fake, object string) { f.objects[object] = []byte("abcdefghij") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			h := newHandler(t, configOf(t, f))
			doc := put(t, h, "a.md", text).Document
			damage(f, doc.Key)
			for _, rng := range []string{"", "bytes=0-0", "bytes=2-4", "bytes=-3", "bytes=0-1,4-5", "bytes=0-"} {
				r := newRequest("GET", "/v1/documents/"+doc.ID.String()+"/content", nil)
				if rng != "" {
					r.Header.Set("Range", rng)
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if w.Header().Get("ETag") != "" || w.Header().Get("Cache-Control") != "no-store" {
					t.Errorf("%s: headers %v", rng, w.Header())
				}
				wantProblem(t, w, 410, "damaged", "upload the document again")
			}
		})
	}
}

// silentlyChangedObjects has objects whose bytes change without their tag.
type silentlyChangedObjects struct{ object string }

func (s silentlyChangedObjects) Open(context.Context, string) (io.ReadSeekCloser, error) {
	return taggedObject{strings.NewReader(s.object)}, nil
}

type taggedObject struct{ *strings.Reader }

func (taggedObject) Close() error { return nil }
func (taggedObject) ETag() string { return "tag" }

// An answer that has begun is broken off: no client takes it for the whole.
func TestContentThatTurnsOutToBeDamaged(t *testing.T) {
	t.Parallel()
	f := newFake()
	config := configOf(t, f)
	text := strings.Repeat("0123456789", 100_000)
	doc := put(t, newHandler(t, config), "a.md", text).Document
	f.documents[0].ObjectETag = "tag"
	config.Originals = newVerifier(t, silentlyChangedObjects{"X" + text[1:]})
	server := httptest.NewServer(newHandler(t, config))
	defer server.Close()
	for _, rng := range []string{"", "bytes=0-"} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/v1/documents/"+doc.ID.String()+"/content", nil)
		if err != nil {
			t.Fatal(err)
		}
		if rng != "" {
			r.Header.Set("Range", rng)
		}
		answer, err := server.Client().Do(r)
		if err != nil {
			continue // broken off before its header arrived
		}
		body, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err == nil || len(body) >= len(text) {
			t.Errorf("%q: %d bytes, %v; want the answer to break off", rng, len(body), err)
		}
	}
}

// A document that gets another original, or is deleted, while its original is
// opened is answered as it is then.
func TestContentOfADocumentThatChanges(t *testing.T) {
	t.Parallel()
	f := newFake()
	config := configOf(t, f)
	doc := put(t, newHandler(t, config), "a.md", "0123456789").Document
	originals := config.Originals
	f.objects["restored"] = f.objects["a.md"]
	delete(f.objects, "a.md")
	config.Originals = hookedOriginals{originals, func() { f.documents[0].Object = "restored" }}
	w := do(newHandler(t, config), "GET", "/v1/documents/"+doc.ID.String()+"/content", "", "")
	if w.Code != 200 || w.Body.String() != "0123456789" {
		t.Errorf("restored meanwhile: %d %s", w.Code, w.Body)
	}
	delete(f.objects, "restored")
	config.Originals = hookedOriginals{originals, func() { f.documents = nil }}
	wantProblem(t, do(newHandler(t, config), "GET", "/v1/documents/"+doc.ID.String()+"/content", "", ""), 404, "not_found", doc.ID.String())
}

// hookedOriginals has something happen after an original was opened.
type hookedOriginals struct {
	httpapi.Originals
	afterOpen func()
}

func (c hookedOriginals) Open(ctx context.Context, of original.Ref) (*original.Reader, error) {
	r, err := c.Originals.Open(ctx, of)
	c.afterOpen()
	return r, err
}

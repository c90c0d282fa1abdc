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

// A response with the ETag of a document never has other bytes, whatever the object storage holds.
func TestDamagedContent(t *testing.T) {
	t.Parallel()
	const text = "0123456789"
	for name, damage := range map[string]func(f *fake, object string){
		"missing":   func(f *fake, object string) { delete(f.objects, object) },
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

// silentlyChangedObjects is a storage whose objects have changed but kept their ETag.
type silentlyChangedObjects struct{ object string }

func (s silentlyChangedObjects) Open(context.Context, string) (io.ReadSeekCloser, error) {
	return taggedObject{strings.NewReader(s.object)}, nil
}

type taggedObject struct{ *strings.Reader }

func (taggedObject) Close() error { return nil }
func (taggedObject) ETag() string { return "tag" }

// A response that has begun is cut off, so that clients do not mistake it for a complete one.
func TestDamageFoundWhileSending(t *testing.T) {
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
		response, err := server.Client().Do(r)
		if err != nil {
			continue // cut off before its header arrived
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err == nil || len(body) >= len(text) {
			t.Errorf("%q: got %d bytes, %v; want the response cut off", rng, len(body), err)
		}
	}
}

// If a document gets another original, or is deleted, while its original is opened, the response is
// that of the changed document.
func TestContentOfChangedDocument(t *testing.T) {
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
		t.Errorf("restored in the meantime: %d %s", w.Code, w.Body)
	}
	delete(f.objects, "restored")
	config.Originals = hookedOriginals{originals, func() { f.documents = nil }}
	wantProblem(t, do(newHandler(t, config), "GET", "/v1/documents/"+doc.ID.String()+"/content", "", ""), 404, "not_found", doc.ID.String())
}

// hookedOriginals calls afterOpen after it has opened an original.
type hookedOriginals struct {
	httpapi.Originals
	afterOpen func()
}

func (o hookedOriginals) Open(ctx context.Context, ref original.Ref) (*original.Reader, error) {
	r, err := o.Originals.Open(ctx, ref)
	o.afterOpen()
	return r, err
}

package ingest_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Under one idempotency key, requests must have the same meaning and the same body. The way in which
// they are written does not matter.
func TestFingerprint(t *testing.T) {
	t.Parallel()
	fingerprint := func(request document.UploadRequest, body string) string {
		t.Helper()
		service, m := newService(t)
		request.IdempotencyKey = "key"
		if _, err := service.Upload(tenantContext(t), request, strings.NewReader(body)); err != nil {
			t.Fatal(err)
		}
		if m.uploads[0].IdempotencyKey != "key" || len(m.uploads[0].Fingerprint) != 64 {
			t.Fatalf("accepted %+v, want the idempotency key and a fingerprint", m.uploads[0])
		}
		return m.uploads[0].Fingerprint
	}
	first := document.UploadRequest{Collection: "default", Key: "k.md", Title: "T", MediaType: "text/markdown", Metadata: json.RawMessage(`{"a":1,"b":2}`)}
	want := fingerprint(first, "text")

	same := document.UploadRequest{Key: "k.md", Title: "T", Metadata: json.RawMessage(`{"b": 2, "a": 1}`)}
	if fingerprint(same, "text") != want {
		t.Error("the same request written in another way has another fingerprint")
	}
	for name, change := range map[string]func(r *document.UploadRequest){
		"collection": func(r *document.UploadRequest) { r.Collection = "other" },
		"key":        func(r *document.UploadRequest) { r.Key = "l.md" },
		"title":      func(r *document.UploadRequest) { r.Title = "" },
		"metadata":   func(r *document.UploadRequest) { r.Metadata = nil },
		"media type": func(r *document.UploadRequest) { r.MediaType = "text/plain" },
		// The bytes of two fields together are the same.
		"boundary of fields": func(r *document.UploadRequest) { r.Key, r.Title = "k.mdT", "" },
	} {
		changed := first
		change(&changed)
		if fingerprint(changed, "text") == want {
			t.Errorf("another %s has the same fingerprint", name)
		}
	}
	if fingerprint(first, "text ") == want {
		t.Error("another body has the same fingerprint")
	}
}

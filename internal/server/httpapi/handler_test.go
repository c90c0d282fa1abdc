package httpapi_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/server/httpapi"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// configOf returns a configuration in which a fake is every step and store.
func configOf(t *testing.T, f *fake) httpapi.Config {
	t.Helper()
	return httpapi.Config{
		Uploader: f, Searcher: f, Reindexer: reindexer{f}, Reindexes: f, Documents: f, Collections: f, Jobs: f, JobController: f,
		WebhookAdder: f, Webhooks: f, Originals: newVerifier(t, f), Progress: f, DefaultSummaryMode: document.SummariesByModel,
		Health:         http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }),
		Metrics:        &fakeMetrics{},
		Log:            slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
		MaxUploadBytes: 1 << 20,
	}
}

func newHandler(t *testing.T, config httpapi.Config) http.Handler {
	t.Helper()
	h, err := httpapi.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func newVerifier(t *testing.T, objects original.ObjectOpener) *original.Verifier {
	t.Helper()
	v, err := original.NewVerifier(original.VerifierConfig{Objects: objects})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// do sends a request to the handler, without a network, and returns the response.
func do(h http.Handler, method, target, contentType, body string) *httptest.ResponseRecorder {
	r := newRequest(method, target, strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// decode returns the JSON body of a response.
func decode[T any](t *testing.T, w *httptest.ResponseRecorder) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("got %d %q: %v", w.Code, w.Body, err)
	}
	return v
}

// put uploads a document and returns the accepted document.
func put(t *testing.T, h http.Handler, key, content string) document.Accepted {
	t.Helper()
	w := do(h, "PUT", "/v1/documents?key="+key, "text/markdown", content)
	if w.Code != http.StatusAccepted {
		t.Fatalf("PUT %s: %d %s", key, w.Code, w.Body)
	}
	return decode[document.Accepted](t, w)
}

// newRequest returns a request to this machine.
func newRequest(method, target string, body io.Reader) *http.Request {
	r := httptest.NewRequest(method, target, body)
	r.Host = "localhost"
	return r
}

package llm_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/backend/llm"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// The test server checks what is sent to each form of address: Azure accepts only its own key
// header and version.
func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		base, version string // appended to the server's address
		path          string // expected path of a request for embeddings
		azure         bool
	}{
		{"/v1", "", "/v1/embeddings", false},
		{"/v1/", "", "/v1/embeddings", false},
		{"", "", "/embeddings", false},
		{"/v1/embeddings", "", "/v1/embeddings", false},
		{"/api/openai/v1", "", "/api/openai/v1/embeddings", false},
		{"", "2024-02-01", "/openai/deployments/text-embedding-3-small/embeddings?api-version=2024-02-01", true},
		{"/openai", "2024-02-01", "/openai/deployments/text-embedding-3-small/embeddings?api-version=2024-02-01", true},
		{"/openai/deployments/mine", "", "/openai/deployments/mine/embeddings?api-version=2024-10-21", true},
		{"/openai/deployments/mine", "2024-02-01", "/openai/deployments/mine/embeddings?api-version=2024-02-01", true},
		{"/openai/deployments/mine/embeddings?api-version=2023-05-15", "", "/openai/deployments/mine/embeddings?api-version=2023-05-15", true},
		{"/openai/deployments/mine/chat/completions?api-version=2023-05-15", "", "/openai/deployments/mine/embeddings?api-version=2023-05-15", true},
		{"/openai/v1", "preview", "/openai/v1/embeddings?api-version=preview", true},
	} {
		var mu sync.Mutex
		var got string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			key, bearer := r.Header.Get("api-key"), r.Header.Get("Authorization")
			mu.Lock()
			got = r.URL.String()
			mu.Unlock()
			switch {
			case test.azure && (key != secret || bearer != ""), !test.azure && (key != "" || bearer != "Bearer "+secret):
				http.Error(w, `{"error":{"code":"401","message":"Access denied due to missing subscription key."}}`, http.StatusUnauthorized)
			case got != test.path:
				http.Error(w, `{"error":{"code":"404","message":"Resource not found"}}`, http.StatusNotFound)
			default:
				answerVectors(w, recordedRequest{Request: r, Texts: []string{""}})
			}
		}))
		o := newOpenAIAt(t, server.URL+test.base, func(c *llm.OpenAIConfig) { c.APIVersion = test.version })
		if _, err := o.Embed(t.Context(), small, numberedTexts(1)); err != nil {
			t.Errorf("%s, version %q: asked for %s: %v", test.base, test.version, got, err)
		}
		server.Close()
	}
}

// An invalid address is rejected, and the error does not show what may be secret in it.
func TestBadBaseURL(t *testing.T) {
	t.Parallel()
	for _, base := range []string{
		"localhost:8000/v1", "ftp://host/v1", "http://", "http://u:hunter2@:bad port/", "http://host/v1?key=hunter2", "ftp://host/v1?key=hunter2", "http://host/v1#hunter2",
	} {
		_, err := llm.NewOpenAI(newConfig(t, base))
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", base, err)
		}
	}
}

// A password in the address is used and never shown.
func TestPasswordInTheAddress(t *testing.T) {
	t.Parallel()
	const password = "hunter2-hunter2"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, sent, _ := r.BasicAuth()
		http.Error(w, "you have sent "+sent, http.StatusForbidden)
	}))
	t.Cleanup(server.Close)
	o := newOpenAIAt(t, strings.Replace(server.URL, "http://", "http://me:"+password+"@", 1)+"/v1", func(c *llm.OpenAIConfig) { c.APIKey = "" })
	_, err := o.Embed(t.Context(), small, numberedTexts(1))
	wantFailure(t, "forbidden", err, fault.Misconfigured, "you have sent [key]")
	server.Close()
	_, err = o.Embed(t.Context(), document.Model{Name: "another", Dimensions: 64}, numberedTexts(1))
	wantFailure(t, "down", err, fault.Unavailable, "cannot be reached")
	if strings.Contains(err.Error(), password) {
		t.Errorf("%v contains the password", err)
	}
}

// An address that cannot be a provider's is distinguished from a provider that is down.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(untrusted.Close)
	t.Cleanup(plain.Close)
	for _, test := range []struct {
		base string
		kind fault.Kind
		says string
	}{
		{untrusted.URL + "/v1", fault.Misconfigured, "certificate of 127.0.0.1"},
		{strings.Replace(plain.URL, "http://", "https://", 1) + "/v1", fault.Misconfigured, "does not speak TLS"},
		{"http://no-such-host.invalid/v1", fault.Misconfigured, "host no-such-host.invalid does not exist; set GRISTMILL_OPENAI_BASE_URL"},
		{"http://127.0.0.1:1/v1", fault.Unavailable, "cannot be reached"},
	} {
		_, err := newOpenAIAt(t, test.base).Embed(t.Context(), small, numberedTexts(1))
		if fault.Is(err, fault.Unavailable) && strings.Contains(test.base, ".invalid") {
			continue // no DNS server can be reached here
		}
		wantFailure(t, test.base, err, test.kind, test.says)
	}
}

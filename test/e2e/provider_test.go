package e2e_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	tests "github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// search searches and returns the status, the header and the duration.
func search(t *testing.T, p *program.Program, question string) (int, http.Header, time.Duration) {
	t.Helper()
	body := fmt.Sprintf(`{"query":%q}`, question)
	request, err := http.NewRequestWithContext(t.Context(), "POST", p.URL()+"/v1/search", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	start := time.Now()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode, response.Header, time.Since(start)
}

// Searches do not wait behind documents. A query that cannot be embedded is answered soon, with
// Retry-After.
func TestSearchWhileTheProviderIsBusyOrBroken(t *testing.T) {
	t.Parallel()
	provider := fakeprovider.Start(t, fakeprovider.Options{Dimensions: 64})
	env := append(providerEnv(provider), "GRISTMILL_EMBEDDING_CONCURRENCY=2", "GRISTMILL_SEARCH_TIMEOUT=600ms")
	dev := program.Start(t, env, "gristmill", "dev", "--addr", "127.0.0.1:0", "--data", t.TempDir())
	c := dev.Client("")
	uploadOne(t, c, "guide.md", guide)
	if status, _, _ := search(t, dev, "how is grain ground?"); status != http.StatusOK {
		t.Fatalf("search answered %d", status)
	}

	// Only batches hang: they have more than one text, queries have one.
	hanging := make(chan struct{}, 100)
	provider.FailNext(func(a *fakeprovider.Answer) {
		if len(a.Vectors) > 1 {
			fakeprovider.Hang(a)
			hanging <- struct{}{}
		}
	}, -1)
	for i := range 4 {
		text := fmt.Sprintf("# One %[1]d\n\nThis hangs %[1]d.\n\n# Two %[1]d\n\nThis hangs too %[1]d.\n", i)
		if _, err := c.Upload(t.Context(), document.UploadRequest{Key: fmt.Sprint(i, ".md")}, strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-hanging:
	case <-timeoutContext(t).Done():
		t.Fatal("no document is being embedded")
	}
	for range 3 {
		if status, _, took := search(t, dev, "how is grain ground?"); status != http.StatusOK {
			t.Errorf("search answered %d after %s while documents are embedded", status, took)
		}
	}

	for _, fault := range []struct {
		name  string
		fault fakeprovider.Fault
	}{
		{"hangs", fakeprovider.Hang},
		{"answers 503", fakeprovider.Status(503, "overloaded")},
		{"truncates its answer", fakeprovider.TruncatedJSON},
	} {
		provider.FailNext(fault.fault, -1)
		status, header, took := search(t, dev, "who "+fault.name+"?") // another query each time, because equal queries share a request
		if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" || took > time.Second {
			t.Errorf("while the provider %s, search answered %d, Retry-After %q, after %s; want 503 within a second", fault.name, status, header.Get("Retry-After"), took)
		}
		if _, err := c.Jobs(t.Context(), document.JobFilter{}, document.Page{}); err != nil {
			t.Errorf("while the provider %s: %v", fault.name, err)
		}
	}
	// After the failures the model may be held for a while.
	provider.FailNext(nil, 0)
	tests.Until(t, "searches are answered again", func() bool {
		status, _, _ := search(t, dev, "how is grain ground?")
		return status == http.StatusOK
	})
	provider.FailNext(fakeprovider.RateLimit("30"), -1)
	if status, _, _ := search(t, dev, "who limits the rate?"); status != http.StatusServiceUnavailable {
		t.Errorf("search answered %d while the provider limits the rate", status)
	}
	sent := provider.Counts().EmbeddingRequests
	if status, header, _ := search(t, dev, "who mills?"); status != http.StatusServiceUnavailable || header.Get("Retry-After") != "30" || provider.Counts().EmbeddingRequests != sent {
		t.Errorf("search answered %d, Retry-After %q, after %d requests; want 503, 30 and no request",
			status, header.Get("Retry-After"), provider.Counts().EmbeddingRequests-sent)
	}
}

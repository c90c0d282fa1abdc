package e2e_test

import (
	"net/http"
	"strings"
	"testing"

	tests "github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// A model takes longer to load than a search may take. The first search is refused with the name of
// the setting, and its request to the provider continues. The next search for the same text gets
// the answer of that request, through the API and through the command line, which prints what it
// waits for.
func TestColdModelAnswersTheNextSearch(t *testing.T) {
	t.Parallel()
	provider := fakeprovider.Start(t, fakeprovider.Options{Dimensions: 64})
	s := program.NewInstallation(t, append(providerEnv(provider), "GRISTMILL_SEARCH_TIMEOUT=300ms")...)
	api := s.Start("api")
	s.Start("worker-knowledge")
	s.Start("worker-summary")
	c := api.Client(program.APIKey)
	uploadOne(t, c, "guide.md", guide)

	// cold makes the requests for one question wait until warm is called. A different question is
	// used for the API and for the command line, so that each has its own request.
	cold := func(question string) (asked chan struct{}, warm func()) {
		asked, loading := make(chan struct{}, 10), make(chan struct{})
		provider.SetScript(func(r fakeprovider.Request) fakeprovider.Fault {
			if r.Texts[0] != question {
				return nil
			}
			asked <- struct{}{}
			return func(a *fakeprovider.Answer) {
				select {
				case <-loading:
				case <-t.Context().Done():
				}
				a.Correct = true
			}
		})
		return asked, func() { close(loading) }
	}

	const question = "how is grain ground?"
	asked, warm := cold(question)
	body := map[string]string{"query": question}
	for range 2 {
		status, header, answer, err := api.Send(t.Context(), http.MethodPost, "/v1/search", body)
		if err != nil || status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" ||
			!strings.Contains(string(answer), "GRISTMILL_SEARCH_TIMEOUT") {
			t.Errorf("a search with a cold model: %v, %d %s; want 503 with the name of the setting", err, status, answer)
		}
	}
	warm()
	tests.Until(t, "the request has been answered", func() bool { return provider.InFlight() == 0 })
	if found, err := c.Search(timeoutContext(t), document.SearchRequest{Query: question}); err != nil || len(found.Hits) == 0 {
		t.Errorf("the search found %v, error %v", found.Hits, err)
	}
	if n := len(asked); n != 1 {
		t.Errorf("the provider got %d requests, want 1", n)
	}

	const other = "which stone turns?"
	asked, warm = cold(other)
	search := program.Start(t, []string{"GRISTMILL_SERVER=" + api.URL(), "GRISTMILL_KEY=" + program.APIKey}, "gristmill", "search", other)
	tests.Until(t, "the command line prints what it waits for", func() bool { return strings.Contains(search.Output(), "Asking again in ") })
	warm()
	if status, output := search.Wait(), search.Output(); status != 0 || !strings.Contains(output, "GRISTMILL_SEARCH_TIMEOUT") || !strings.Contains(output, "guide.md") {
		t.Errorf("gristmill search exited with %d:\n%s", status, output)
	}
	if n := len(asked); n != 1 {
		t.Errorf("the provider got %d requests, want 1", n)
	}
}

// doctor names the setting to change for each kind of wrong configuration of the embedding model,
// and reports success with the correct one.
func TestDoctorNamesTheSetting(t *testing.T) {
	t.Parallel()
	provider := fakeprovider.Start(t, fakeprovider.Options{APIKey: "right", Models: map[string]int{"known": 48, "unused": 48}})
	s := program.NewInstallation(t, "GRISTMILL_OPENAI_BASE_URL="+provider.URL())
	for name, test := range map[string]struct {
		env  []string
		want string
	}{
		"the length":  {[]string{"GRISTMILL_EMBEDDING_DIMENSIONS=64"}, "GRISTMILL_EMBEDDING_DIMENSIONS=48"},
		"the model":   {[]string{"GRISTMILL_EMBEDDING_MODEL=unknown"}, "GRISTMILL_EMBEDDING_MODEL"},
		"the key":     {[]string{"GRISTMILL_OPENAI_API_KEY=wrong"}, "GRISTMILL_OPENAI_API_KEY"},
		"the address": {[]string{"GRISTMILL_OPENAI_BASE_URL=" + strings.TrimSuffix(provider.URL(), "/v1")}, "GRISTMILL_OPENAI_BASE_URL"},
		"nothing":     {nil, "✓ embeddings model known, 48 dimensions"},
	} {
		env := append(s.Env(), "GRISTMILL_OPENAI_API_KEY=right", "GRISTMILL_EMBEDDING_MODEL=known", "GRISTMILL_EMBEDDING_DIMENSIONS=")
		doctor := program.Start(t, append(env, test.env...), "gristmill", "doctor")
		status, output := doctor.Wait(), doctor.Output()
		if (status == 0) != (test.env == nil) || !strings.Contains(output, test.want) || strings.Contains(output, "✗ embeddings") != (test.env != nil) {
			t.Errorf("%s: doctor exited with %d:\n%s", name, status, output)
		}
		if strings.Contains(output, "wrong") {
			t.Errorf("%s: doctor shows the key:\n%s", name, output)
		}
	}
}

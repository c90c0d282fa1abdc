package audit

import (
	"fmt"
	"slices"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/provider"
)

// maxProbes is the number of probes that a few repeatedly restarted programs may send. Failures may
// add one for each twenty passages.
const maxProbes = 20

// checkUsage compares the passages and tokens that the provider has answered with what was needed:
// each stored passage once for each model that it is stored with, and each passage that was deleted
// with its document once.
func (a Audit) checkUsage(t testing.TB) {
	t.Helper()
	stored := a.storedTexts(t)
	var needed, answered usage
	probes := 0
	for model, texts := range a.Provider.EmbeddedTextsByModel() {
		// A probe costs six tokens. A process sends one at its start, and more after failures.
		probes += texts[provider.ProbeText]
		for _, asked := range slices.Concat(a.Queries, []string{provider.ProbeText}) {
			delete(texts, asked)
		}
		for text, times := range texts {
			answered.add(text, times)
			needed.add(text, max(1, stored[model][text]))
			delete(stored[model], text)
		}
	}
	t.Logf("audit: the provider answered %s, of which %s were needed, and %d probes", answered, needed, probes)
	if limit := maxProbes + needed.passages/20; probes > limit {
		t.Errorf("the provider answered %d probes, want at most %d", probes, limit)
	}
	for model, texts := range stored {
		if len(texts) > 0 {
			t.Errorf("%d stored texts were never embedded by %s with %d dimensions", len(texts), model.Name, model.Dimensions)
		}
	}
	limit := needed
	limit.passages += needed.passages/20 + a.MaxWasted
	limit.bytes += needed.bytes/20 + a.MaxWasted*needed.bytes/max(needed.passages, 1)
	if answered.passages > limit.passages || answered.bytes > limit.bytes {
		t.Errorf("the provider answered %s; %s were needed, and at most %s are allowed", answered, needed, limit)
	}
}

// usage is what a provider is paid for. The provider counts tokens; usage counts bytes, four for
// each token.
type usage struct{ passages, bytes int }

func (s *usage) add(text string, times int) {
	s.passages += times
	s.bytes += times * len(text)
}

func (s usage) String() string {
	return fmt.Sprintf("%d passages (%d tokens)", s.passages, s.bytes/4)
}

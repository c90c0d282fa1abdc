package audit

import (
	"fmt"
	"slices"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/provider"
)

// maxProbes is how many probes a few programs may send that are started again
// and again; failures may add one for each twenty passages.
const maxProbes = 20

// checkUsage holds what the provider answered, in passages and in tokens,
// against what was needed: each stored passage once by each model that it is
// stored with, and each of those once that have been removed with their documents.
func (a Audit) checkUsage(t testing.TB) {
	t.Helper()
	stored := a.storedTexts(t)
	var needed, answered usage
	probes := 0
	for model, texts := range a.Provider.EmbeddedTextsByModel() {
		// A probe costs six tokens. One is sent by a process that starts, and
		// others follow failures.
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
	if most := maxProbes + needed.passages/20; probes > most {
		t.Errorf("the provider answered %d probes, want at most %d", probes, most)
	}
	for model, texts := range stored {
		if len(texts) > 0 {
			t.Errorf("%d texts are stored that %s with %d dimensions never answered", len(texts), model.Name, model.Dimensions)
		}
	}
	most := needed
	most.passages += needed.passages/20 + a.MaxWasted
	most.bytes += needed.bytes/20 + a.MaxWasted*needed.bytes/max(needed.passages, 1)
	if answered.passages > most.passages || answered.bytes > most.bytes {
		t.Errorf("the provider answered %s; %s were needed, and %s could be explained", answered, needed, most)
	}
}

// usage is what a provider is paid for. It counts tokens; this one takes
// four bytes for each.
type usage struct{ passages, bytes int }

func (s *usage) add(text string, times int) {
	s.passages += times
	s.bytes += times * len(text)
}

func (s usage) String() string {
	return fmt.Sprintf("%d passages (%d tokens)", s.passages, s.bytes/4)
}

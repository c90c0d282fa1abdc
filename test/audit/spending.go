package audit

import (
	"fmt"
	"slices"
	"testing"

	"github.com/seed-7a112592/gristmill/pkg/backend/llm"
)

// checkSpending holds what the provider answered, in passages and in tokens,
// against what was needed: each stored passage once by each model that it is
// stored with.
func (a Audit) checkSpending(t testing.TB) {
	t.Helper()
	stored := a.stored(t)
	var needed, answered spending
	for model, texts := range a.Provider.EmbeddedBy() {
		// A probe follows a failure, and costs six tokens.
		for _, asked := range slices.Concat(a.Questions, []string{llm.ProbeText}) {
			delete(texts, asked)
		}
		for text, times := range texts {
			answered.add(text, times)
			needed.add(text, stored[model][text])
			delete(stored[model], text)
		}
	}
	t.Logf("audit: the provider answered %s, of which %s were needed", answered, needed)
	for model, texts := range stored {
		if len(texts) > 0 {
			t.Errorf("%d texts are stored that %s with %d dimensions never answered", len(texts), model.Name, model.Dimensions)
		}
	}
	most := needed
	most.passages += needed.passages/20 + a.Allowance
	most.bytes += needed.bytes/20 + a.Allowance*needed.bytes/max(needed.passages, 1)
	if answered.passages > most.passages || answered.bytes > most.bytes {
		t.Errorf("the provider answered %s; %s were needed, and %s could be explained", answered, needed, most)
	}
}

// spending is what a provider is paid for. It counts tokens; this one takes
// four bytes for each.
type spending struct{ passages, bytes int }

func (s *spending) add(text string, times int) {
	s.passages += times
	s.bytes += times * len(text)
}

func (s spending) String() string {
	return fmt.Sprintf("%d passages (%d tokens)", s.passages, s.bytes/4)
}

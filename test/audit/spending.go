package audit

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/pkg/backend/llm"
	"github.com/seed-7a112592/gristmill/pkg/document"
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
			if hash := document.HashText(text); stored[model][hash] {
				needed.add(text, 1)
				delete(stored[model], hash)
			}
		}
	}
	t.Logf("audit: the provider answered %s, of which %s were needed", answered, needed)
	for model, hashes := range stored {
		if len(hashes) > 0 {
			t.Errorf("%d passages are stored that %s with %d dimensions never answered", len(hashes), model.Name, model.Dimensions)
		}
	}
	most := needed
	most.passages += needed.passages/20 + a.Allowance
	most.bytes += needed.bytes/20 + a.Allowance*needed.bytes/max(needed.passages, 1)
	if answered.passages > most.passages || answered.bytes > most.bytes {
		t.Errorf("the provider answered %s; %s were needed, and %s could be explained", answered, needed, most)
	}
}

// stored returns which passages are stored with vectors of which model.
func (a Audit) stored(t testing.TB) map[document.Model]map[document.Hash]bool {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	conn := a.Site.Connect()
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `SELECT s.model, s.dimensions, p.hash FROM passages p JOIN spaces s ON s.id = p.space`)
	if err != nil {
		t.Fatal(err)
	}
	stored := map[document.Model]map[document.Hash]bool{}
	var model document.Model
	var hash []byte
	if _, err := pgx.ForEachRow(rows, []any{&model.Name, &model.Dimensions, &hash}, func() error {
		if stored[model] == nil {
			stored[model] = map[document.Hash]bool{}
		}
		stored[model][document.Hash(hash)] = true
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return stored
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

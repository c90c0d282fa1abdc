package audit

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// checkSpending holds what the provider answered, in passages and in tokens,
// against what was needed: each stored passage once.
func (a Audit) checkSpending(t testing.TB) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	conn := a.Site.Connect()
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `SELECT DISTINCT hash FROM passages`)
	if err != nil {
		t.Fatal(err)
	}
	hashes, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		t.Fatal(err)
	}
	stored := make(map[document.Hash]bool, len(hashes))
	for _, hash := range hashes {
		stored[document.Hash(hash)] = true
	}

	var needed, answered spending
	for text, times := range a.Provider.Embedded() {
		answered.add(text, times)
		if stored[document.HashText(text)] {
			needed.add(text, 1)
		}
	}
	t.Logf("audit: the provider answered %s, of which %s were needed", answered, needed)
	if needed.passages < len(stored) {
		t.Errorf("%d passages are stored that the provider never answered", len(stored)-needed.passages)
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

package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// It can be reverted for as long as the space from before is kept, whoever has
// come to keep that since.
func revertsWhileTheSpaceIsKept(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "revert kept")
	publishTexts(t, ctx, s, c, "a", "one")
	done := runReindex(t, ctx, s, changeModelRequest(c), leaseTime)
	check := func(when string, least time.Duration) {
		t.Helper()
		until := readReindex(t, ctx, s, done.ID).RevertibleUntil
		if (until != nil) != (least > 0) || until != nil && (time.Until(*until) < least-leaseTime/2 || time.Until(*until) > least) {
			t.Errorf("%s: revertible until %v, want it for %s", when, until, least)
		}
	}
	check("switched", leaseTime)
	back := document.ReindexRequest{Collection: c.Name, Model: c.ActiveSpace.Model}
	r := beginReindex(t, ctx, s, back)
	check("another is on its way back", 0)
	cancelReindex(t, ctx, s, r.ID, 2*leaseTime)
	check("which was cancelled", 2*leaseTime)
	cancelReindex(t, ctx, s, beginReindex(t, ctx, s, back).ID, 0)
	check("and again", 0)
	wantRefused(t, ctx, s, "its time is over", done.ID, "revert")
}

// A space whose time is over may be half gone.
func reusesNoExpiredSpace(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "begin over")
	a := publishTexts(t, ctx, s, c, "a", "one")
	first := startReindex(t, ctx, s, changeModelRequest(c))
	writeMissing(t, ctx, s, first)
	cancelReindex(t, ctx, s, first.JobID, 0)
	second := startReindex(t, ctx, s, changeModelRequest(c))
	if second.Space.ID == first.Space.ID {
		t.Errorf("got space %d, whose time is over", second.Space.ID)
	}
	wantMissing(t, ctx, s, "another space", second, a)
	cancelReindex(t, ctx, s, second.JobID, leaseTime)
	third := startReindex(t, ctx, s, changeModelRequest(c))
	if third.Space.ID != second.Space.ID {
		t.Errorf("got space %d, want %d, which is kept", third.Space.ID, second.Space.ID)
	}
}

// A document that there is not is told of before the reindex that would have to
// be waited for.
func missesDocumentsBeforeReindexes(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "begin second nowhere")
	beginReindex(t, ctx, s, changeModelRequest(c))
	_, err := s.BeginReindex(ctx, document.ReindexRequest{Collection: c.Name, DocumentIDs: []uuid.UUID{uuid.New()}})
	wantFault(t, err, fault.NotFound)
}

// What was dropped is still named by its reindex: it is not to be taken for
// another.
func makesNoSpaceLikeADroppedOne(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	first := startReindex(t, ctx, s, changeModelRequest(c))
	cancelReindex(t, ctx, s, first.JobID, 0)
	if got := collectSpaces(t, ctx, s); got == 0 {
		t.Error("nothing was dropped")
	}
	second := startReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Tokens: 100})
	if second.Space.ID == first.Space.ID {
		t.Errorf("space %d was dropped, and is there again", second.Space.ID)
	}
}

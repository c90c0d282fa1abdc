package storetest

import (
	"context"
	"testing"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// beginInBoth begins an upload of one passage, and writes it to the live space
// and to the one that is being built. It returns the work and where else it is
// placed.
func beginInBoth(t *testing.T, ctx context.Context, s Store, c document.Collection, text string) (document.Work, []document.Placement) {
	t.Helper()
	work := begin(t, ctx, s, c, text)
	if len(work.Also) != 1 {
		t.Fatalf("got spaces %+v to be written too, want one", work.Also)
	}
	for _, space := range []document.Space{work.Space, work.Also[0]} {
		write(t, ctx, s, in(space, work), batchOf(0, passagesIn(space, text)...), document.KnowledgeProgress{Passages: 1})
	}
	return work, []document.Placement{{Space: work.Also[0].ID, Passages: 1}}
}

// A task that was claimed while a space was built, and is published when the
// reindex was steered. The space gets nothing more then.
func publishesNothingInWhatIsLeft(t *testing.T, ctx context.Context, s Store) {
	for when, steer := range map[string]func(context.Context, uuid.UUID) (document.Reindex, error){
		"paused": s.PauseReindex,
		"cancelled": func(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
			return s.CancelReindex(ctx, id, leaseTime)
		},
	} {
		c := ensure(t, ctx, s, "publish left: "+when)
		id := beginReindex(t, ctx, s, anotherModel(c)).ID
		upload, also := beginInBoth(t, ctx, s, c, "late")
		if r := steerReindex(t, ctx, s, steer, id); r.State == document.Cancelled {
			id = beginReindex(t, ctx, s, anotherModel(c)).ID
			id = steerReindex(t, ctx, s, s.PauseReindex, id).ID
		}
		if err := s.Publish(ctx, upload, also, document.KnowledgeProgress{Passages: 1}); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		wantFound(t, ctx, s, when, c, "late")
		steerReindex(t, ctx, s, s.ResumeReindex, id)
		work := claimReindex(t, ctx, s, id)
		if got := unplaced(t, ctx, s, work); len(got) != 1 || got[0].Document != upload.Document {
			t.Errorf("%s: unplaced %+v, want what was published meanwhile", when, got)
		}
		fill(t, ctx, s, work)
		finish(t, ctx, s, work, leaseTime)
		wantFound(t, ctx, s, when+", and switched", c, "late")
	}
}

// The space that it was to be written to besides is no more: that is no reason
// not to publish it.
func publishesWithoutTheSpace(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	reindex := beginReindex(t, ctx, s, anotherModel(c))
	upload, also := beginInBoth(t, ctx, s, c, "one")
	cancelReindex(t, ctx, s, reindex.ID, 0)
	if got := dropSpaces(t, ctx, s); got == 0 {
		t.Error("nothing was dropped")
	}
	if err := s.Publish(ctx, upload, also, document.KnowledgeProgress{Passages: 1}); err != nil {
		t.Fatal(err)
	}
	wantFound(t, ctx, s, "dropped", c, "one")
}

package storetest

import (
	"context"
	"testing"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// writeInBothSpaces begins an upload of one passage, and writes it to the live space
// and to the one that is being built. It returns the work and where else it is
// placed.
func writeInBothSpaces(t *testing.T, ctx context.Context, s Store, c vector.Collection, text string) (task.Work, []vector.SpaceVersion) {
	t.Helper()
	work := beginKnowledge(t, ctx, s, c, text)
	if len(work.OtherSpaces) != 1 {
		t.Fatalf("got spaces %+v to be written too, want one", work.OtherSpaces)
	}
	for _, space := range []vector.Space{work.Space, work.OtherSpaces[0]} {
		writeBatch(t, ctx, s, withSpace(space, work), batchOf(0, passagesIn(space, text)...), document.KnowledgeProgress{Passages: 1})
	}
	return work, []vector.SpaceVersion{{SpaceID: work.OtherSpaces[0].ID, Passages: 1}}
}

// A task that was claimed while a space was built, and is published when the
// reindex was steered. The space gets nothing more then.
func publishesNothingInARetiredSpace(t *testing.T, ctx context.Context, s Store) {
	for when, steer := range map[string]func(context.Context, uuid.UUID) (document.Reindex, error){
		"paused": s.PauseReindex,
		"cancelled": func(ctx context.Context, id uuid.UUID) (document.Reindex, error) {
			return s.CancelReindex(ctx, id, leaseTime)
		},
	} {
		c := ensureCollection(t, ctx, s, "publish left: "+when)
		id := beginReindex(t, ctx, s, changeModelRequest(c)).ID
		upload, also := writeInBothSpaces(t, ctx, s, c, "late")
		if r := controlReindex(t, ctx, s, steer, id); r.State == document.JobCancelled {
			id = beginReindex(t, ctx, s, changeModelRequest(c)).ID
			id = controlReindex(t, ctx, s, s.PauseReindex, id).ID
		}
		if err := s.Publish(ctx, upload, also, document.KnowledgeProgress{Passages: 1}); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		wantHits(t, ctx, s, when, c, "late")
		controlReindex(t, ctx, s, s.ResumeReindex, id)
		work := claimReindex(t, ctx, s, id)
		if got := missingVersions(t, ctx, s, work); len(got) != 1 || got[0].DocumentID != upload.DocumentID {
			t.Errorf("%s: unplaced %+v, want what was published meanwhile", when, got)
		}
		writeMissing(t, ctx, s, work)
		activateSpace(t, ctx, s, work, leaseTime)
		wantHits(t, ctx, s, when+", and switched", c, "late")
	}
}

// The space that it was to be written to besides is no more: that is no reason
// not to publish it.
func publishesWithoutTheSpace(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	reindex := beginReindex(t, ctx, s, changeModelRequest(c))
	upload, also := writeInBothSpaces(t, ctx, s, c, "one")
	cancelReindex(t, ctx, s, reindex.ID, 0)
	if got := collectSpaces(t, ctx, s); got == 0 {
		t.Error("nothing was dropped")
	}
	if err := s.Publish(ctx, upload, also, document.KnowledgeProgress{Passages: 1}); err != nil {
		t.Fatal(err)
	}
	wantHits(t, ctx, s, "dropped", c, "one")
}

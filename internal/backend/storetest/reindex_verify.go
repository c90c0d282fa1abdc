package storetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func verifiesThatAllIsThere(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "verify")
	for i := range 5 {
		publishTexts(t, ctx, s, c, fmt.Sprint(i), fmt.Sprint("one ", i), fmt.Sprint("two ", i))
	}
	work := startReindex(t, ctx, s, changeModelRequest(c))
	wantFault(t, s.VerifySpace(ctx, work, 20), fault.Conflict)
	writeMissing(t, ctx, s, work)
	for _, sample := range []int{0, 1, 20} {
		if err := s.VerifySpace(ctx, work, sample); err != nil {
			t.Errorf("a sample of %d: %v", sample, err)
		}
	}
	late := publishTexts(t, ctx, s, c, "late", "three")
	wantFault(t, s.VerifySpace(ctx, work, 20), fault.Conflict)
	wantMissing(t, ctx, s, "one is late", work, late)
	acceptUpload(t, ctx, s, uploadOf(c, "pending")) // is no obstacle
	writeMissing(t, ctx, s, work)
	if err := s.VerifySpace(ctx, work, 20); err != nil {
		t.Error(err)
	}
	if got := readReindex(t, ctx, s, work.JobID); got.State != document.JobRunning || readCollection(t, ctx, s, c).ActiveSpace.ID != c.ActiveSpace.ID {
		t.Errorf("verified: got %+v, want it running still", got)
	}
}

// Not every passage can be told from all others by its vector.
func verifiesOddVectors(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "verify odd")
	var same []vector.EmbeddedPassage
	for i := range 25 {
		same = append(same, passageOf(fmt.Sprint("same ", i), 1, 1, 1))
	}
	publishDocument(t, ctx, s, uploadOf(c, "same"), same...)
	publishDocument(t, ctx, s, uploadOf(c, "nowhere"), passageOf("nowhere", 0, 0, 0))
	work := startReindex(t, ctx, s, changeModelRequest(c))
	for _, of := range missingVersions(t, ctx, s, work) {
		var passages []vector.EmbeddedPassage
		for _, text := range versionTexts(t, ctx, s, c.ActiveSpace, of) {
			vector := []float32{0.3, 0.7}
			if text == "nowhere" {
				vector = []float32{0, 0}
			}
			passages = append(passages, passageOf(text, vector...))
		}
		writeToSpace(t, ctx, s, work, spaceWriteOf(of, passages...))
	}
	if err := s.VerifySpace(ctx, work, 100); err != nil {
		t.Error(err)
	}
}

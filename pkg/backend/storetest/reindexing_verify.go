package storetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

func verifiesThatAllIsThere(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "verify")
	for i := range 5 {
		publishTexts(t, ctx, s, c, fmt.Sprint(i), fmt.Sprint("one ", i), fmt.Sprint("two ", i))
	}
	work := startReindex(t, ctx, s, anotherModel(c))
	wantFault(t, s.Verify(ctx, work, 20), fault.Conflict)
	fill(t, ctx, s, work)
	for _, sample := range []int{0, 1, 20} {
		if err := s.Verify(ctx, work, sample); err != nil {
			t.Errorf("a sample of %d: %v", sample, err)
		}
	}
	late := publishTexts(t, ctx, s, c, "late", "three")
	wantFault(t, s.Verify(ctx, work, 20), fault.Conflict)
	wantUnplaced(t, ctx, s, "one is late", work, late)
	accept(t, ctx, s, uploadOf(c, "pending")) // is no obstacle
	fill(t, ctx, s, work)
	if err := s.Verify(ctx, work, 20); err != nil {
		t.Error(err)
	}
	if got := readReindex(t, ctx, s, work.Job); got.State != document.Running || live(t, ctx, s, c).Space.ID != c.Space.ID {
		t.Errorf("verified: got %+v, want it running still", got)
	}
}

// Not every passage can be told from all others by its vector.
func verifiesOddVectors(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "verify odd")
	var same []document.Embedded
	for i := range 25 {
		same = append(same, passageOf(fmt.Sprint("same ", i), 1, 1, 1))
	}
	publishDocument(t, ctx, s, uploadOf(c, "same"), same...)
	publishDocument(t, ctx, s, uploadOf(c, "nowhere"), passageOf("nowhere", 0, 0, 0))
	work := startReindex(t, ctx, s, anotherModel(c))
	for _, of := range unplaced(t, ctx, s, work) {
		var passages []document.Embedded
		for _, text := range storedTexts(t, ctx, s, c.Space, of) {
			vector := []float32{0.3, 0.7}
			if text == "nowhere" {
				vector = []float32{0, 0}
			}
			passages = append(passages, passageOf(text, vector...))
		}
		place(t, ctx, s, work, wholeOf(of, passages...))
	}
	if err := s.Verify(ctx, work, 100); err != nil {
		t.Error(err)
	}
}

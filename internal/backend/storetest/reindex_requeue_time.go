package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// The time at work is that of all attempts together, without that between them.
func countsTheTimeOfRequeueing(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "requeue time")
	publishTexts(t, ctx, s, c, "a", "one")
	publishTexts(t, ctx, s, c, "b", "two")
	id := beginReindex(t, ctx, s, document.ReindexRequest{Collection: c.Name, Force: true}).ID
	var last, most float64
	for attempt, jobs := range []int{1, 1, 0} {
		begun := time.Now()
		work := claimReindex(t, ctx, s, id)
		requeue(t, ctx, s, work, attempt+1, rebuild.RequeueResult{Jobs: jobs})
		requeue(t, ctx, s, work, 0, rebuild.RequeueResult{})
		most += time.Since(begun).Seconds()
		got := readReindex(t, ctx, s, id).Progress.Seconds
		if got <= last || got > most {
			t.Errorf("attempt %d: got %v seconds, want more than %v, and %v at most", attempt, got, last, most)
		}
		last = got
		recordOutcome(t, ctx, s, work, task.Outcome{Verdict: task.VerdictWait, Error: "down"})
	}
}

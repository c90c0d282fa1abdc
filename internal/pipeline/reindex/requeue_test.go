package reindex_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/pipeline/reindex"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// requeueStore is a store with a reindex that changes no space.
type requeueStore struct {
	reindex.Store
	id      uuid.UUID
	results []rebuild.RequeueResult
	err     error

	rounds, dispatched, changed int
}

func (p *requeueStore) Reindex(_ context.Context, id uuid.UUID) (document.Reindex, error) {
	return document.Reindex{ID: id, Change: document.ChangeNothing}, nil
}

func (p *requeueStore) RequeueDocuments(_ context.Context, work task.Work, window int) (rebuild.RequeueResult, error) {
	if window < 1 || window > 16 || work.JobID != p.id {
		return rebuild.RequeueResult{}, fmt.Errorf("job %s with a window of %d", work.JobID, window)
	}
	result := p.results[min(p.rounds, len(p.results)-1)]
	p.rounds++
	return result, p.err
}

func (p *requeueStore) Dispatch(context.Context)                { p.dispatched++ }
func (p *requeueStore) NotifyChange(context.Context, uuid.UUID) { p.changed++ }

func newRequeueStep(t *testing.T, results ...rebuild.RequeueResult) (*reindex.Step, *requeueStore, task.Work) {
	t.Helper()
	p := &requeueStore{id: uuid.New(), results: results}
	step, _ := newStep(t, newFakeDatabase(oldModel, oldChunking), func(c *reindex.StepConfig) { c.Store, c.Changes, c.Dispatcher = p, p, p })
	return step, p, task.Work{JobID: p.id, Collection: "default"}
}

func TestReindexWithoutAChangeRequeuesDocuments(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		step, p, work := newRequeueStep(t, rebuild.RequeueResult{Jobs: 8}, rebuild.RequeueResult{}, rebuild.RequeueResult{Jobs: 2}, rebuild.RequeueResult{Ended: true})
		start := time.Now()
		if err := step.Run(t.Context(), work); err != nil {
			t.Fatal(err)
		}
		if p.rounds != 4 || p.dispatched != 2 || p.changed == 0 {
			t.Errorf("%d rounds, %d dispatches, %d notifications; want 4, 2 and some", p.rounds, p.dispatched, p.changed)
		}
		if took := time.Since(start); took < time.Second || took > 3*time.Second {
			t.Errorf("took %s for three waits, want 1s to 3s", took)
		}
	})
}

func TestRequeueingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	step, p, work := newRequeueStep(t, rebuild.RequeueResult{})
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := step.Run(ctx, work); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
	p.err = fault.New(fault.LeaseLost, "paused")
	if err := step.Run(t.Context(), work); !fault.Is(err, fault.LeaseLost) {
		t.Errorf("got error %v, want %s", err, fault.LeaseLost)
	}
}

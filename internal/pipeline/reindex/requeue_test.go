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
	answers []rebuild.RequeueResult
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
	answer := p.answers[min(p.rounds, len(p.answers)-1)]
	p.rounds++
	return answer, p.err
}

func (p *requeueStore) Dispatch(context.Context)                { p.dispatched++ }
func (p *requeueStore) NotifyChange(context.Context, uuid.UUID) { p.changed++ }

func newRequeueStep(t *testing.T, answers ...rebuild.RequeueResult) (*reindex.Step, *requeueStore, task.Work) {
	t.Helper()
	p := &requeueStore{id: uuid.New(), answers: answers}
	step, _ := newStep(t, newFakeDatabase(oldModel, oldChunking), func(c *reindex.StepConfig) { c.Store, c.Changes, c.Dispatcher = p, p, p })
	return step, p, task.Work{JobID: p.id, Collection: "default"}
}

func TestNothingChangesPutsDocumentsBackOnThePath(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		step, p, work := newRequeueStep(t, rebuild.RequeueResult{Jobs: 8}, rebuild.RequeueResult{}, rebuild.RequeueResult{Jobs: 2}, rebuild.RequeueResult{Ended: true})
		start := time.Now()
		if err := step.Run(t.Context(), work); err != nil {
			t.Fatal(err)
		}
		if p.rounds != 4 || p.dispatched != 2 || p.changed == 0 {
			t.Errorf("%d rounds, dispatched %d times, told of %d changes", p.rounds, p.dispatched, p.changed)
		}
		if took := time.Since(start); took < time.Second || took > 3*time.Second {
			t.Errorf("took %s for three waits", took)
		}
	})
}

func TestPuttingBackEndsWithItsContext(t *testing.T) {
	t.Parallel()
	step, p, work := newRequeueStep(t, rebuild.RequeueResult{})
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := step.Run(ctx, work); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	p.err = fault.New(fault.LeaseLost, "paused")
	if err := step.Run(t.Context(), work); !fault.Is(err, fault.LeaseLost) {
		t.Errorf("error %v", err)
	}
}

package reindex_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/pipeline/reindex"
)

// path is a store with a reindex that changes no space.
type path struct {
	reindex.Store
	id      uuid.UUID
	answers []document.Requeued
	err     error

	rounds, dispatched, changed int
}

func (p *path) Reindex(_ context.Context, id uuid.UUID) (document.Reindex, error) {
	return document.Reindex{ID: id, Change: document.ChangeNothing}, nil
}

func (p *path) Requeue(_ context.Context, work document.Work, window int) (document.Requeued, error) {
	if window < 1 || window > 16 || work.Job != p.id {
		return document.Requeued{}, fmt.Errorf("job %s with a window of %d", work.Job, window)
	}
	answer := p.answers[min(p.rounds, len(p.answers)-1)]
	p.rounds++
	return answer, p.err
}

func (p *path) Dispatch(context.Context)           { p.dispatched++ }
func (p *path) Changed(context.Context, uuid.UUID) { p.changed++ }

func newPath(t *testing.T, answers ...document.Requeued) (*reindex.Step, *path, document.Work) {
	p := &path{id: uuid.New(), answers: answers}
	return &reindex.Step{Store: p, Live: p, Dispatcher: p, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}, p,
		document.Work{Job: p.id, Collection: "default"}
}

func TestNothingChangesPutsDocumentsBackOnThePath(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		step, p, work := newPath(t, document.Requeued{Jobs: 8}, document.Requeued{}, document.Requeued{Jobs: 2}, document.Requeued{Ended: true})
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
	step, p, work := newPath(t, document.Requeued{})
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

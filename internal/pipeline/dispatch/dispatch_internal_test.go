package dispatch

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
)

// emptyBackend is a store and a queue without tasks.
type emptyBackend struct{}

func (emptyBackend) Dispatch(context.Context, map[task.Kind]int) ([]task.Dispatch, error) {
	return nil, nil
}
func (emptyBackend) Capacity(context.Context, task.Kind) (int, error)          { return 1, nil }
func (emptyBackend) Enqueue(ctx context.Context, tasks ...task.Dispatch) error { return nil }

func TestIdleCoalescersAreRemoved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, err := NewDispatcher(Config{Store: emptyBackend{}, Queue: emptyBackend{}, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 1000 {
			go d.Dispatch(tenant.With(t.Context(), fmt.Sprintf("tenant-%d", i)))
		}
		synctest.Wait()
		if n := len(d.coalescers); n != 0 {
			t.Errorf("%d coalescers are left, want none", n)
		}
	})
}

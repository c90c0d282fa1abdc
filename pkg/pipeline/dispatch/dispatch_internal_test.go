package dispatch

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

// nothing is a store and a queue with nothing to do.
type nothing struct{}

func (nothing) Dispatch(context.Context, map[document.TaskKind]int) ([]document.Dispatch, error) {
	return nil, nil
}
func (nothing) Capacity(context.Context, document.TaskKind) (int, error)      { return 1, nil }
func (nothing) Enqueue(ctx context.Context, tasks ...document.Dispatch) error { return nil }

func TestTenantsThatNobodyAsksForAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &Dispatcher{Store: nothing{}, Queue: nothing{}, Log: slog.New(slog.DiscardHandler)}
		for i := range 1000 {
			go d.Dispatch(tenant.With(t.Context(), fmt.Sprintf("tenant-%d", i)))
		}
		synctest.Wait()
		if n := len(d.turns); n != 0 {
			t.Errorf("%d tenants are remembered, want none", n)
		}
	})
}

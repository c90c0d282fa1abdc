package ingest

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// emptyBacklogStore is a store of tenants that have nothing to do.
type emptyBacklogStore struct{ Store }

func (emptyBacklogStore) Backlog(context.Context) (task.Backlog, error) {
	return task.Backlog{}, nil
}

// Tenants that upload nothing any more are forgotten, and no upload that is
// under way.
func TestBacklogsThatNobodyNeedsAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		step := &Service{Config: Config{Store: emptyBacklogStore{}, BacklogLimit: task.Backlog{Jobs: 1, Bytes: 1}}}
		if _, err := step.admitUpload(t.Context(), "busy"); err != nil {
			t.Fatal(err)
		}
		for i := range 20 * minEvictSize {
			leave, err := step.admitUpload(t.Context(), fmt.Sprint(i))
			if err != nil {
				t.Fatal(err)
			}
			leave(document.Accepted{})
			if i%100 == 0 {
				<-time.After(time.Second) // of the bubble's clock
			}
		}
		if n := len(step.backlogs.byTenant); n > 2*minEvictSize {
			t.Errorf("the backlogs of %d tenants are kept, want at most %d", n, 2*minEvictSize)
		}
		if _, err := step.admitUpload(t.Context(), "busy"); err == nil {
			t.Error("a second upload is let in where the limit is one, and the first is under way")
		}
	})
}

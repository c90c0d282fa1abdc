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

// emptyBacklogStore is a store without unfinished work.
type emptyBacklogStore struct{ Store }

func (emptyBacklogStore) Backlog(context.Context) (task.Backlog, error) {
	return task.Backlog{}, nil
}

// The cache removes the backlogs of tenants that upload nothing any more, but not those with uploads
// under way.
func TestBacklogCacheIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		service := &Service{Config: Config{Store: emptyBacklogStore{}, BacklogLimit: task.Backlog{Jobs: 1, Bytes: 1}}}
		if _, err := service.admitUpload(t.Context(), "busy"); err != nil {
			t.Fatal(err)
		}
		for i := range 20 * minEvictSize {
			release, err := service.admitUpload(t.Context(), fmt.Sprint(i))
			if err != nil {
				t.Fatal(err)
			}
			release(document.Accepted{})
			if i%100 == 0 {
				<-time.After(time.Second) // on the bubble's clock
			}
		}
		if n := len(service.backlogs.byTenant); n > 2*minEvictSize {
			t.Errorf("%d backlogs are cached, want at most %d", n, 2*minEvictSize)
		}
		if _, err := service.admitUpload(t.Context(), "busy"); err == nil {
			t.Error("a second upload is admitted with a limit of one, while the first is under way")
		}
	})
}

package ingest

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// idle is a store of tenants that have nothing to do.
type idle struct{ Store }

func (idle) Backlog(context.Context) (document.Backlog, error) { return document.Backlog{}, nil }

// Tenants that upload nothing any more are forgotten, and no upload that is
// under way.
func TestBacklogsThatNobodyNeedsAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		step := &Step{Store: idle{}, Limits: document.Backlog{Jobs: 1, Bytes: 1}}
		if _, err := step.enter(t.Context(), "busy"); err != nil {
			t.Fatal(err)
		}
		for i := range 20 * minForget {
			leave, err := step.enter(t.Context(), fmt.Sprint(i))
			if err != nil {
				t.Fatal(err)
			}
			leave(document.Accepted{})
			if i%100 == 0 {
				<-time.After(time.Second) // of the bubble's clock
			}
		}
		if n := len(step.backlogs.of); n > 2*minForget {
			t.Errorf("the backlogs of %d tenants are kept, want at most %d", n, 2*minForget)
		}
		if _, err := step.enter(t.Context(), "busy"); err == nil {
			t.Error("a second upload is let in where the limit is one, and the first is under way")
		}
	})
}

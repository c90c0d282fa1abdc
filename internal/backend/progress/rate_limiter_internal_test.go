package progress

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// Limits are written again after a while, in case Redis has lost them.
func TestLimitsAreRefreshed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p localRateLimiter
		for i, test := range []struct {
			after   time.Duration
			changed bool
		}{{0, true}, {limitsRefreshInterval - 1, false}, {1, true}, {time.Second, false}} {
			<-time.After(test.after) // fake clock
			if changed := p.setLimits("m", 1, 2); changed != test.changed {
				t.Errorf("%d: changed is %t, want %t", i, changed, test.changed)
			}
		}
	})
}

func TestRememberedModelsAreBounded(t *testing.T) {
	t.Parallel()
	var p localRateLimiter
	for i := range 3 * maxModels {
		p.retryHeldModel(fmt.Sprint(i))
	}
	if len(p.models) > maxModels {
		t.Errorf("%d models are remembered, want at most %d", len(p.models), maxModels)
	}
}

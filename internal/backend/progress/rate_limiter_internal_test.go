package progress

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// A Redis that has lost the limits is told them again.
func TestLimitsAreToldAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p localRateLimiter
		for i, test := range []struct {
			after time.Duration
			news  bool
		}{{0, true}, {limitsRefreshInterval - 1, false}, {1, true}, {time.Second, false}} {
			<-time.After(test.after) // of the bubble's clock
			if news := p.setLimits("m", 1, 2); news != test.news {
				t.Errorf("%d: news is %t, want %t", i, news, test.news)
			}
		}
	})
}

func TestFewModelsAreRememberedByThePace(t *testing.T) {
	t.Parallel()
	var p localRateLimiter
	for i := range 3 * maxModels {
		p.retryHeldModel(fmt.Sprint(i))
	}
	if len(p.models) > maxModels {
		t.Errorf("%d models are remembered, want at most %d", len(p.models), maxModels)
	}
}

package live

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
		var p ownPace
		for i, test := range []struct {
			after time.Duration
			news  bool
		}{{0, true}, {relearn - 1, false}, {1, true}, {time.Second, false}} {
			<-time.After(test.after) // of the bubble's clock
			if news := p.learn("m", 1, 2); news != test.news {
				t.Errorf("%d: news is %t, want %t", i, news, test.news)
			}
		}
	})
}

func TestFewModelsAreRememberedByThePace(t *testing.T) {
	t.Parallel()
	var p ownPace
	for i := range 3 * maxPaced {
		p.hurry(fmt.Sprint(i))
	}
	if len(p.models) > maxPaced {
		t.Errorf("%d models are remembered, want at most %d", len(p.models), maxPaced)
	}
}

package live

import (
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

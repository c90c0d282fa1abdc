package live_test

import (
	"math"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/backend/live"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/test/await"
)

// wantHolds checks what is held. Without Redis a process knows of its own holds
// only, and says so.
func wantHolds(t *testing.T, p *live.Pace, want ...live.Hold) {
	t.Helper()
	holds, err := p.Holds(t.Context())
	if err != nil && !fault.Is(err, fault.Unavailable) {
		t.Fatal(err)
	}
	if len(holds) != len(want) {
		t.Fatalf("held are %+v, want %+v", holds, want)
	}
	for i, hold := range holds {
		if left := want[i].Left - hold.Left; left < 0 || left > time.Minute {
			t.Errorf("%s is held for %s, want %s", hold.Model, hold.Left, want[i].Left)
		}
		hold.Left = want[i].Left
		if hold != want[i] {
			t.Errorf("got %+v, want %+v", hold, want[i])
		}
	}
}

// Who holds a model, and for how long, can be seen, and lifted: then it is tried
// at once, by one request.
func TestHoldsAreSeenAndLifted(t *testing.T) {
	onEachPace(t, func(t *testing.T, p *live.Pace) {
		ctx := t.Context()
		wantHolds(t, p)
		p.Hold(ctx, model+"-b", fault.New(fault.Misconfigured, "wrong key").After(5*time.Minute))
		p.Hold(ctx, model+"-a", fault.New(fault.RateLimited, "slow down").After(time.Hour))
		a := live.Hold{Model: model + "-a", Kind: fault.RateLimited, Reason: "slow down", Left: 10 * time.Minute}
		b := live.Hold{Model: model + "-b", Kind: fault.Misconfigured, Reason: "wrong key", Left: 5 * time.Minute}
		wantHolds(t, p, a, b)

		if _, err := p.Hurry(ctx, a.Model); err != nil && !fault.Is(err, fault.Unavailable) {
			t.Fatal(err)
		}
		wait, try, held := p.Reserve(ctx, a.Model, 1, false, 0)
		if wait != 0 || try != 1 || held != nil {
			t.Errorf("wait %s, try %d, held for %v; want a try at once", wait, try, held)
		}
		_, _ = p.Hurry(ctx, a.Model)
		if _, _, held := p.Reserve(ctx, a.Model, 1, false, 0); held == nil {
			t.Error("another request tries too")
		}
		if _, _, held := p.Reserve(ctx, b.Model, 1, false, 0); held == nil {
			t.Error("the other hold is lifted too")
		}
		a.Left, a.Tries = 0, 1
		wantHolds(t, p, a, b)
		p.Release(ctx, a.Model)
		wantHolds(t, p, b)
		p.HurryAll(ctx)
		if _, try, _ := p.Reserve(ctx, b.Model, 1, false, 0); try != 1 {
			t.Errorf("try %d after all were lifted", try)
		}
		p.Release(ctx, b.Model)
		if held, _ := p.Hurry(ctx, b.Model); held {
			t.Error("what is not held was lifted")
		}
		if _, try, _ := p.Reserve(ctx, b.Model, 1, false, 0); try != 0 {
			t.Error("lifting what is not held began a hold")
		}
		wantHolds(t, p)
	})
}

// No hold, and no limit however strange, keeps anybody waiting for more than
// ten minutes.
func TestNothingWaitsForLong(t *testing.T) {
	onEachPace(t, func(t *testing.T, p *live.Pace) {
		ctx := t.Context()
		for _, wait := range []time.Duration{time.Hour, 3 * 365 * 24 * time.Hour, math.MaxInt64} {
			p.Hold(ctx, model, fault.New(fault.RateLimited, "slow down").After(wait))
			if wait, _, held := p.Reserve(ctx, model, 1, false, 0); held == nil || wait > 10*time.Minute {
				t.Errorf("held for %s", wait)
			}
			p.Release(ctx, model)
		}
		for _, limits := range [][2]int{{1, 0}, {0, 1}, {1, 1}, {math.MaxInt, math.MaxInt}} {
			p.Learn(ctx, model, limits[0], limits[1])
			for range 50 {
				if wait, _, held := p.Reserve(ctx, model, math.MaxInt32, true, 0); held != nil || wait != 0 {
					t.Fatalf("an urgent request waits %s, held for %v", wait, held)
				}
			}
			if wait, _, _ := p.Reserve(ctx, model, 1000, false, 0); wait > 10*time.Minute {
				t.Errorf("with limits %v a request waits %s", limits, wait)
			}
		}
	})
}

// A try that was lifted out of a hold and fails begins the hold's waits anew.
func TestLiftedTryFails(t *testing.T) {
	onEachPace(t, func(t *testing.T, p *live.Pace) {
		ctx := t.Context()
		p.Hold(ctx, model, fault.New(fault.Misconfigured, "wrong key").After(time.Millisecond))
		for want := range 3 {
			await.Until(t, "one may try", func() bool {
				_, try, held := p.Reserve(ctx, model, 1, false, 0)
				return held == nil && try == want+1
			})
			p.Hold(ctx, model, fault.New(fault.Misconfigured, "wrong key").After(time.Millisecond))
		}
		p.Hold(ctx, model, fault.New(fault.Misconfigured, "wrong key").After(time.Hour))
		p.HurryAll(ctx)
		if _, try, held := p.Reserve(ctx, model, 1, false, 0); held != nil || try != 1 {
			t.Errorf("try %d, held for %v", try, held)
		}
	})
}

package progress_test

import (
	"math"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/backend/progress"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/test/await"
)

// wantHolds compares the holds. Without Redis a process knows only its own holds, and Holds returns
// fault.Unavailable.
func wantHolds(t *testing.T, p *progress.RateLimiter, want ...progress.Hold) {
	t.Helper()
	holds, err := p.Holds(t.Context())
	if err != nil && !fault.Is(err, fault.Unavailable) {
		t.Fatal(err)
	}
	if len(holds) != len(want) {
		t.Fatalf("holds are %+v, want %+v", holds, want)
	}
	for i, hold := range holds {
		if left := want[i].Remaining - hold.Remaining; left < 0 || left > time.Minute {
			t.Errorf("%s is held for %s, want %s", hold.Model, hold.Remaining, want[i].Remaining)
		}
		hold.Remaining = want[i].Remaining
		if hold != want[i] {
			t.Errorf("got %+v, want %+v", hold, want[i])
		}
	}
}

// A hold is listed with its remaining time. RetryHeldModel lets one request try the model
// immediately.
func TestRetryHeldModel(t *testing.T) {
	onEachRateLimiter(t, func(t *testing.T, p *progress.RateLimiter) {
		ctx := t.Context()
		wantHolds(t, p)
		p.Hold(ctx, model+"-b", fault.New(fault.Misconfigured, "wrong key").WithRetryAfter(5*time.Minute))
		p.Hold(ctx, model+"-a", fault.New(fault.RateLimited, "slow down").WithRetryAfter(time.Hour))
		a := progress.Hold{Model: model + "-a", Kind: fault.RateLimited, Reason: "slow down", Remaining: 10 * time.Minute}
		b := progress.Hold{Model: model + "-b", Kind: fault.Misconfigured, Reason: "wrong key", Remaining: 5 * time.Minute}
		wantHolds(t, p, a, b)

		if _, err := p.RetryHeldModel(ctx, a.Model); err != nil && !fault.Is(err, fault.Unavailable) {
			t.Fatal(err)
		}
		wait, try, held := p.Reserve(ctx, a.Model, 1, false, 0)
		if wait != 0 || try != 1 || held != nil {
			t.Errorf("wait %s, try %d, held for %v; want a try immediately", wait, try, held)
		}
		_, _ = p.RetryHeldModel(ctx, a.Model)
		if _, _, held := p.Reserve(ctx, a.Model, 1, false, 0); held == nil {
			t.Error("a second request tries too")
		}
		if _, _, held := p.Reserve(ctx, b.Model, 1, false, 0); held == nil {
			t.Error("the wait of the other hold ended too")
		}
		a.Remaining, a.Tries = 0, 1
		wantHolds(t, p, a, b)
		p.EndHold(ctx, a.Model)
		wantHolds(t, p, b)
		p.RetryHeldModels(ctx)
		if _, try, _ := p.Reserve(ctx, b.Model, 1, false, 0); try != 1 {
			t.Errorf("try %d after RetryHeldModels, want 1", try)
		}
		p.EndHold(ctx, b.Model)
		if held, _ := p.RetryHeldModel(ctx, b.Model); held {
			t.Error("RetryHeldModel reports a hold of a model that is not held")
		}
		if _, try, _ := p.Reserve(ctx, b.Model, 1, false, 0); try != 0 {
			t.Error("RetryHeldModel began a hold")
		}
		wantHolds(t, p)
	})
}

// No hold and no limit makes a request wait for more than ten minutes.
func TestWaitIsBounded(t *testing.T) {
	onEachRateLimiter(t, func(t *testing.T, p *progress.RateLimiter) {
		ctx := t.Context()
		for _, wait := range []time.Duration{time.Hour, 3 * 365 * 24 * time.Hour, math.MaxInt64} {
			p.Hold(ctx, model, fault.New(fault.RateLimited, "slow down").WithRetryAfter(wait))
			if wait, _, held := p.Reserve(ctx, model, 1, false, 0); held == nil || wait > 10*time.Minute {
				t.Errorf("held for %s", wait)
			}
			p.EndHold(ctx, model)
		}
		for _, limits := range [][2]int{{1, 0}, {0, 1}, {1, 1}, {math.MaxInt, math.MaxInt}} {
			p.SetLimits(ctx, model, limits[0], limits[1])
			for range 50 {
				if wait, _, held := p.Reserve(ctx, model, math.MaxInt32, true, 0); held != nil || wait != 0 {
					t.Fatalf("an urgent request waits %s, held for %v; want no wait", wait, held)
				}
			}
			if wait, _, _ := p.Reserve(ctx, model, 1000, false, 0); wait > 10*time.Minute {
				t.Errorf("with limits %v a request waits %s", limits, wait)
			}
		}
	})
}

// If a retry that RetryHeldModels allowed fails, the waits of the hold start again.
func TestRetryOfHeldModelFails(t *testing.T) {
	onEachRateLimiter(t, func(t *testing.T, p *progress.RateLimiter) {
		ctx := t.Context()
		p.Hold(ctx, model, fault.New(fault.Misconfigured, "wrong key").WithRetryAfter(time.Millisecond))
		for want := range 3 {
			await.Until(t, "a request may try", func() bool {
				_, try, held := p.Reserve(ctx, model, 1, false, 0)
				return held == nil && try == want+1
			})
			p.Hold(ctx, model, fault.New(fault.Misconfigured, "wrong key").WithRetryAfter(time.Millisecond))
		}
		p.Hold(ctx, model, fault.New(fault.Misconfigured, "wrong key").WithRetryAfter(time.Hour))
		p.RetryHeldModels(ctx)
		if _, try, held := p.Reserve(ctx, model, 1, false, 0); held != nil || try != 1 {
			t.Errorf("try %d, held for %v", try, held)
		}
	})
}

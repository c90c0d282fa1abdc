package progress_test

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/seed-7a112592/gristmill/internal/backend/progress"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/services"
)

const model = "127.0.0.1:9/some-model"

// onEachRateLimiter runs a test on a rate limiter that is shared through a real Redis, on one that
// is shared through the embedded Redis, and on one that reaches no Redis.
func onEachRateLimiter(t *testing.T, test func(t *testing.T, p *progress.RateLimiter)) {
	t.Parallel()
	for name, url := range map[string]func(t *testing.T) string{
		"redis":     func(t *testing.T) string { return services.Redis(t) },
		"miniredis": func(t *testing.T) string { return "redis://" + miniredis.RunT(t).Addr() },
		"local":     func(t *testing.T) string { return "redis://" + unreachableRedis(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, progress.NewRateLimiter(newStore(t, url(t))))
		})
	}
}

// unreachableRedis returns an address on which nothing listens.
func unreachableRedis(t *testing.T) string {
	t.Helper()
	listener := listen(t)
	_ = listener.Close()
	return listener.Addr().String()
}

// reserve calls Reserve for the model, which must not be held.
func reserve(t *testing.T, p *progress.RateLimiter, tokens int, urgent bool, acceptedWait time.Duration) (wait time.Duration, try int) {
	t.Helper()
	wait, try, held := p.Reserve(t.Context(), model, tokens, urgent, acceptedWait)
	if held != nil {
		t.Fatalf("held: %v", held)
	}
	return wait, try
}

func TestUnknownLimitsCauseNoWait(t *testing.T) {
	onEachRateLimiter(t, func(t *testing.T, p *progress.RateLimiter) {
		for range 1000 {
			if wait, try := reserve(t, p, 1_000_000, false, 0); wait != 0 || try != 0 {
				t.Fatalf("waits %s, try %d", wait, try)
			}
		}
	})
}

// The lower limit decides, and the booked requests stay below it.
func TestReserveKeepsBelowTheLimits(t *testing.T) {
	onEachRateLimiter(t, func(t *testing.T, p *progress.RateLimiter) {
		for _, test := range []struct {
			name             string
			requests, tokens int // per minute
			each             int // tokens of each request
			perMinute        float64
		}{
			{"requests", 600, 1_000_000, 10, 600},
			{"tokens", 6000, 60_000, 100, 600},
			{"requests only", 600, 0, 1_000_000, 600},
			{"tokens only", 0, 60_000, 100, 600},
		} {
			name, start := model+test.name, time.Now()
			p.SetLimits(t.Context(), name, test.requests, test.tokens)
			var last time.Duration
			const minute = 600 // as many as the limit
			for range minute {
				wait, _, held := p.Reserve(t.Context(), name, test.each, false, time.Hour)
				if held != nil {
					t.Fatal(held)
				}
				last = wait + time.Since(start)
			}
			// The requests of three seconds are sent immediately; the others follow at nine tenths
			// of the limit.
			want := time.Minute*10/9 - 3*time.Second
			if off := (last - want).Abs(); off > time.Second {
				t.Errorf("%s: a limit's worth takes %s, want about %s", test.name, last, want)
			}
		}
	})
}

// A batch may be larger than the burst, or than the limit itself: it is sent, and the requests
// after it wait for it.
func TestLargeRequests(t *testing.T) {
	onEachRateLimiter(t, func(t *testing.T, p *progress.RateLimiter) {
		p.SetLimits(t.Context(), model, 0, 6000)
		if wait, _ := reserve(t, p, 9000, false, 0); wait != 0 {
			t.Errorf("the first request waits %s", wait)
		}
		// 9000 tokens at 5400 a minute take 100 s, less the burst.
		if wait, _ := reserve(t, p, 1, false, 0); wait < 95*time.Second || wait > 97*time.Second {
			t.Errorf("the next request waits %s, want 97s", wait)
		}
	})
}

func TestRefusedWaitIsNotBooked(t *testing.T) {
	onEachRateLimiter(t, func(t *testing.T, p *progress.RateLimiter) {
		p.SetLimits(t.Context(), model, 0, 60_000)
		reserve(t, p, 60_000, false, 0)
		first, _ := reserve(t, p, 30_000, false, time.Second)
		if first < time.Minute {
			t.Fatalf("waits %s", first)
		}
		for range 100 {
			if wait, _ := reserve(t, p, 30_000, false, time.Second); wait > first {
				t.Fatalf("waits %s, at first %s: a request that does not wait was booked", wait, first)
			}
		}
		if wait, _ := reserve(t, p, 30_000, true, time.Second); wait != 0 {
			t.Errorf("an urgent request waits %s", wait)
		}
		if wait, _ := reserve(t, p, 1, false, time.Second); wait < first+30*time.Second {
			t.Errorf("waits %s: the urgent request was not booked", wait)
		}
	})
}

func TestHold(t *testing.T) {
	onEachRateLimiter(t, func(t *testing.T, p *progress.RateLimiter) {
		ctx := t.Context()
		refused := fault.New(fault.RateLimited, "provider answered 429")
		if !p.Hold(ctx, model, refused.WithRetryAfter(time.Minute)) {
			t.Error("the first hold did not begin")
		}
		if p.Hold(ctx, model, fault.New(fault.Unavailable, "later").WithRetryAfter(time.Second)) {
			t.Error("the second hold began")
		}
		for _, urgent := range []bool{false, true} {
			wait, try, held := p.Reserve(ctx, model, 1, urgent, time.Hour)
			if wait < 59*time.Second || wait > time.Minute || try != 0 {
				t.Errorf("wait %s, try %d, want a minute: a shorter hold must not shorten it", wait, try)
			}
			if held == nil || held.Kind != fault.RateLimited || held.Detail != refused.Detail {
				t.Errorf("held for %+v", held)
			}
		}
		if _, _, held := p.Reserve(ctx, model+"-large", 1, false, 0); held != nil {
			t.Error("another model is held too")
		}
		if !p.EndHold(ctx, model) || p.EndHold(ctx, model) {
			t.Error("want the first EndHold to end the hold, and only the first")
		}
		if _, try := reserve(t, p, 1, false, 0); try != 0 {
			t.Errorf("try %d after EndHold", try)
		}
	})
}

// When the wait of a hold has ended, one request tries the model first.
func TestOneRequestTriesHeldModel(t *testing.T) {
	onEachRateLimiter(t, func(t *testing.T, p *progress.RateLimiter) {
		ctx := t.Context()
		p.SetLimits(ctx, model, 1, 1)
		reserve(t, p, 1000, false, 0) // the next request waits for hours
		for tries := range 3 {
			p.Hold(ctx, model, fault.New(fault.Unavailable, "broken").WithRetryAfter(20*time.Millisecond))
			var wait time.Duration
			var try int
			await.Until(t, "a request may try", func() bool {
				var held *fault.Error
				wait, try, held = p.Reserve(ctx, model, 1, false, 0)
				return held == nil
			})
			if wait != 0 || try != tries+1 {
				t.Fatalf("waits %s as try %d, want no wait and try %d", wait, try, tries+1)
			}
			wait, _, held := p.Reserve(ctx, model, 1, false, 0)
			if held == nil || held.Detail != "broken" || wait <= 0 || wait > 250*time.Millisecond {
				t.Errorf("another request waits %s for %v, want a short wait", wait, held)
			}
		}
		p.EndHold(ctx, model)
		p.Hold(ctx, model, fault.New(fault.Unavailable, "again").WithRetryAfter(time.Millisecond))
		await.Until(t, "a request may try", func() bool {
			_, try, _ := p.Reserve(ctx, model, 1, false, 0)
			return try == 1
		})
	})
}

func TestRateLimiterIsShared(t *testing.T) {
	onEachRedis(t, func(t *testing.T, url string) {
		one, other := progress.NewRateLimiter(newStore(t, url)), progress.NewRateLimiter(newStore(t, url))
		one.SetLimits(t.Context(), model, 0, 600)
		reserve(t, one, 600, false, 0)
		if wait, _ := reserve(t, other, 1, false, 0); wait < time.Minute {
			t.Errorf("the other process waits %s", wait)
		}
		one.Hold(t.Context(), model, fault.New(fault.RateLimited, "slow down").WithRetryAfter(time.Minute))
		if _, _, held := other.Reserve(t.Context(), model, 1, true, 0); held == nil || held.Detail != "slow down" {
			t.Errorf("the other process is held for %v", held)
		}
		other.EndHold(t.Context(), model)
		if _, _, held := one.Reserve(t.Context(), model, 1, true, 0); held != nil {
			t.Errorf("still held for %v", held)
		}
	})
}

func TestRateLimiterStateExpires(t *testing.T) {
	t.Parallel()
	redis := miniredis.RunT(t)
	p := progress.NewRateLimiter(newStore(t, "redis://"+redis.Addr()))
	p.SetLimits(t.Context(), model, 600, 0)
	reserve(t, p, 1, false, 0)
	redis.FastForward(59 * time.Minute)
	if len(redis.Keys()) != 1 {
		t.Fatal("the limits expired within the hour")
	}
	redis.FastForward(2 * time.Minute)
	if keys := redis.Keys(); len(keys) != 0 {
		t.Errorf("%q are left", keys)
	}
	p.Hold(t.Context(), model, fault.New(fault.RateLimited, "x").WithRetryAfter(9*time.Minute))
	redis.FastForward(68 * time.Minute)
	if !redis.Exists("pace:" + model) {
		t.Error("the hold expired too early")
	}
	redis.FastForward(2 * time.Minute)
	if holds, err := p.Holds(t.Context()); err != nil || len(holds) != 0 {
		t.Errorf("held: %+v, %v", holds, err)
	}
	if keys := redis.Keys(); len(keys) != 0 {
		t.Errorf("%q are left", keys)
	}
}

// Limits that have not changed cause no command.
func TestSetLimitsSkipsUnchangedLimits(t *testing.T) {
	t.Parallel()
	redis := miniredis.RunT(t)
	p := progress.NewRateLimiter(newStore(t, "redis://"+redis.Addr()))
	p.SetLimits(t.Context(), model, 600, 1000)
	before := redis.CommandCount()
	for range 100 {
		p.SetLimits(t.Context(), model, 600, 1000)
	}
	if n := redis.CommandCount() - before; n != 0 {
		t.Errorf("%d commands for unchanged limits", n)
	}
	p.SetLimits(t.Context(), model, 1200, 1000)
	if got := redis.HGet("pace:"+model, "requests"); got != "1200" {
		t.Errorf("requests are %s a minute, want the latest limit", got)
	}
}

// If the request that tries a model never reports its result, another request tries after ten
// seconds.
func TestLostTry(t *testing.T) {
	t.Parallel()
	address := unreachableRedis(t)
	synctest.Test(t, func(t *testing.T) {
		l, err := progress.NewStore(progress.Config{RedisURL: "redis://" + address, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		p := progress.NewRateLimiter(l)
		p.Hold(t.Context(), model, fault.New(fault.Unavailable, "broken").WithRetryAfter(time.Second))
		<-time.After(time.Second) // fake clock
		if _, try := reserve(t, p, 1, false, 0); try != 1 {
			t.Fatalf("try %d, want 1", try)
		}
		<-time.After(10*time.Second - time.Millisecond) // fake clock
		if _, _, held := p.Reserve(t.Context(), model, 1, false, 0); held == nil {
			t.Fatal("another request may try too early")
		}
		<-time.After(time.Millisecond) // fake clock
		if _, try := reserve(t, p, 1, false, 0); try != 2 {
			t.Errorf("try %d, want 2", try)
		}
	})
}

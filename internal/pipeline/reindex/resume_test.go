package reindex_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/pipeline/reindex"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// A worker dies at any call of the store, with all that it has in memory. The
// next attempt goes on behind it, and sends again no more than one unit.
func TestCrashCostsOneUnit(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func() *fakeDatabase{
		"model":    func() *fakeDatabase { return newFilledDatabase(newModel, oldChunking, 12) },
		"chunking": func() *fakeDatabase { return newFilledDatabase(oldModel, newChunking, 12) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for at := 1; ; at++ {
				db := make()
				step, m := newStep(t, db, func(c *reindex.StepConfig) { c.Log = slog.New(slog.DiscardHandler) })
				calls := 0
				db.before = func(string) error {
					if calls++; calls >= at {
						return errors.New("killed")
					}
					return nil
				}
				err := step.Run(t.Context(), db.claim())
				db.before = nil
				if err == nil {
					if at < 20 {
						t.Errorf("only %d calls", at)
					}
					break
				}
				reached := db.reached
				db.after = nil
				if err := step.Run(t.Context(), db.claim()); err != nil {
					t.Fatalf("after a crash at call %d: %v", at, err)
				}
				if db.after[0] != reached {
					t.Errorf("after a crash at call %d: began behind %s, want behind %s", at, db.after[0], reached)
				}
				wantBuilt(t, db)
				if n := m.resent(); n > writeBatchPassages {
					t.Errorf("after a crash at call %d: %d texts were sent again, want at most %d", at, n, writeBatchPassages)
				}
				if p := db.reindex.Progress; p.DocumentsDone != 12 || p.Documents != 12 || p.Passages != p.Embedded+p.Reused {
					t.Errorf("after a crash at call %d: progress %+v", at, p)
				}
			}
		})
	}
}

// What others of the requests in flight brought is there when it goes on.
func TestFailedRequestCostsTheOthersNothing(t *testing.T) {
	t.Parallel()
	db := newFilledDatabase(newModel, oldChunking, 12)
	step, m := newStep(t, db)
	var calls atomic.Int32
	m.answer = func(context.Context, []string) error {
		if calls.Add(1) == requests+2 {
			return fault.New(fault.Unavailable, "the provider is down").WithRetryAfter(time.Minute)
		}
		return nil
	}
	err := step.Run(t.Context(), db.claim())
	if f := fault.As(err); f == nil || f.Kind != fault.Unavailable || f.RetryAfter != time.Minute {
		t.Fatalf("error %v, want the provider's", err)
	}
	if err := step.Run(t.Context(), db.claim()); err != nil {
		t.Fatal(err)
	}
	wantBuilt(t, db)
	if n := m.resent(); n == 0 || n > batch {
		t.Errorf("%d texts were sent again, want those of one request", n)
	}
}

func TestLimitOfTheProviderIsWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := newFilledDatabase(newModel, oldChunking, 12)
		step, m := newStep(t, db)
		var calls atomic.Int32
		m.answer = func(context.Context, []string) error {
			if calls.Add(1)%3 == 0 {
				return fault.New(fault.RateLimited, "slow down").WithRetryAfter(4 * time.Second)
			}
			return nil
		}
		var placed document.ReindexProgress // as the last write has it
		db.before = func(call string) error {
			if call == "SetStage" && placed.Passages == 0 {
				placed = db.reindex.Progress
			}
			return nil
		}
		start := time.Now()
		if err := step.Run(t.Context(), db.claim()); err != nil {
			t.Fatal(err)
		}
		wantBuilt(t, db)
		if took := time.Since(start); took < 4*time.Second {
			t.Errorf("took %s", took)
		}
		if p := db.reindex.Progress; p.Embedded != int64(len(m.sent)) || p.Seconds < 4 {
			t.Errorf("progress %+v after %d texts", p, len(m.sent))
		} else if placed.Embedded != p.Embedded || placed.Reused != p.Reused {
			t.Errorf("progress %+v was written, want %+v", placed, p)
		}
	})
}

func TestLongWaitIsTheTasks(t *testing.T) {
	t.Parallel()
	db := newFilledDatabase(newModel, oldChunking, 3)
	step, m := newStep(t, db)
	m.answer = func(context.Context, []string) error {
		return fault.New(fault.RateLimited, "the quota of the day is used up").WithRetryAfter(time.Hour)
	}
	if err := step.Run(t.Context(), db.claim()); !fault.Is(err, fault.RateLimited) {
		t.Errorf("error %v", err)
	}
}

// One answer in thousands that breaks off must not use up the attempts of a
// reindex; a provider that always breaks off must.
func TestBrokenAnswersAreAskedForAgain(t *testing.T) {
	t.Parallel()
	db := newFilledDatabase(newModel, oldChunking, 12)
	step, m := newStep(t, db)
	var calls atomic.Int32
	m.answer = func(context.Context, []string) error {
		if calls.Add(1)%5 == 0 {
			return fault.New(fault.InterruptedResponse, "broke off")
		}
		return nil
	}
	if err := step.Run(t.Context(), db.claim()); err != nil {
		t.Fatal(err)
	}
	wantBuilt(t, db)

	db = newFilledDatabase(newModel, oldChunking, 12)
	step, m = newStep(t, db)
	m.answer = func(context.Context, []string) error { return fault.New(fault.InterruptedResponse, "broke off") }
	if err := step.Run(t.Context(), db.claim()); !fault.Is(err, fault.InterruptedResponse) || m.requests > 4*requests {
		t.Errorf("%v after %d requests", err, m.requests)
	}
}

func TestReindexThatIsStoppedKeepsWhatItHas(t *testing.T) {
	t.Parallel()
	db := newFilledDatabase(newModel, oldChunking, 12)
	step, m := newStep(t, db, func(c *reindex.StepConfig) { c.ParallelRequests = 1 })
	ctx, stop := context.WithCancel(t.Context())
	m.answer = func(context.Context, []string) error {
		if m.requests == 3 {
			stop()
		}
		return nil
	}
	if err := step.Run(ctx, db.claim()); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	if err := step.Run(t.Context(), db.claim()); err != nil {
		t.Fatal(err)
	}
	wantBuilt(t, db)
	if n := m.resent(); n != 0 {
		t.Errorf("%d texts were sent again", n)
	}
}

// A worker whose reindex was paused, or given to another, writes nothing more.
func TestLostLeaseEndsTheRun(t *testing.T) {
	t.Parallel()
	db := newFilledDatabase(newModel, oldChunking, 12)
	step, _ := newStep(t, db)
	places := 0
	db.before = func(call string) error {
		if call == "Place" {
			if places++; places == 2 {
				db.claim()
			}
		}
		return nil
	}
	if err := step.Run(t.Context(), db.claim()); !fault.Is(err, fault.LeaseLost) || places != 2 {
		t.Errorf("%v after %d writes", err, places)
	}
}

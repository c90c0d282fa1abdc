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

// If a worker dies at any call of the store, the next attempt continues at the checkpoint, and sends at
// most one batch again.
func TestCrashCostsOneBatch(t *testing.T) {
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
						t.Errorf("%d calls, want at least 20", at)
					}
					break
				}
				checkpoint := db.checkpoint
				db.after = nil
				if err := step.Run(t.Context(), db.claim()); err != nil {
					t.Fatalf("after a crash at call %d: %v", at, err)
				}
				if db.after[0] != checkpoint {
					t.Errorf("after a crash at call %d: began after %s, want after %s", at, db.after[0], checkpoint)
				}
				wantBuilt(t, db)
				if n := m.resent(); n > writeBatchPassages {
					t.Errorf("after a crash at call %d: %d texts were sent again, want at most %d", at, n, writeBatchPassages)
				}
				if p := db.reindex.Progress; p.DocumentsDone != 12 || p.Documents != 12 || p.Passages != p.Embedded+p.Reused {
					t.Errorf("after a crash at call %d: progress %+v, want 12 documents", at, p)
				}
			}
		})
	}
}

// If one of several concurrent requests fails, the results of the others are stored and reused.
func TestFailedRequestDoesNotLoseOthers(t *testing.T) {
	t.Parallel()
	db := newFilledDatabase(newModel, oldChunking, 12)
	step, m := newStep(t, db)
	var calls atomic.Int32
	m.respond = func(context.Context, []string) error {
		if calls.Add(1) == requests+2 {
			return fault.New(fault.Unavailable, "the provider is down").WithRetryAfter(time.Minute)
		}
		return nil
	}
	err := step.Run(t.Context(), db.claim())
	if f := fault.As(err); f == nil || f.Kind != fault.Unavailable || f.RetryAfter != time.Minute {
		t.Fatalf("got error %v, want unavailable with the provider's delay", err)
	}
	if err := step.Run(t.Context(), db.claim()); err != nil {
		t.Fatal(err)
	}
	wantBuilt(t, db)
	if n := m.resent(); n == 0 || n > batch {
		t.Errorf("%d texts were sent again, want those of one request, at most %d", n, batch)
	}
}

func TestShortRateLimitIsWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := newFilledDatabase(newModel, oldChunking, 12)
		step, m := newStep(t, db)
		var calls atomic.Int32
		m.respond = func(context.Context, []string) error {
			if calls.Add(1)%3 == 0 {
				return fault.New(fault.RateLimited, "slow down").WithRetryAfter(4 * time.Second)
			}
			return nil
		}
		var written document.ReindexProgress // by the last write
		db.before = func(call string) error {
			if call == "SetReindexStage" && written.Passages == 0 {
				written = db.reindex.Progress
			}
			return nil
		}
		start := time.Now()
		if err := step.Run(t.Context(), db.claim()); err != nil {
			t.Fatal(err)
		}
		wantBuilt(t, db)
		if took := time.Since(start); took < 4*time.Second {
			t.Errorf("took %s, want at least 4s", took)
		}
		if p := db.reindex.Progress; p.Embedded != int64(len(m.sent)) || p.Seconds < 4 {
			t.Errorf("progress %+v, want %d embedded in at least 4s", p, len(m.sent))
		} else if written.Embedded != p.Embedded || written.Reused != p.Reused {
			t.Errorf("the last write has progress %+v, want %+v", written, p)
		}
	})
}

func TestLongRateLimitFailsTheAttempt(t *testing.T) {
	t.Parallel()
	db := newFilledDatabase(newModel, oldChunking, 3)
	step, m := newStep(t, db)
	m.respond = func(context.Context, []string) error {
		return fault.New(fault.RateLimited, "the quota of the day is used up").WithRetryAfter(time.Hour)
	}
	if err := step.Run(t.Context(), db.claim()); !fault.Is(err, fault.RateLimited) {
		t.Errorf("got error %v, want %s", err, fault.RateLimited)
	}
}

// One interrupted response in thousands must not use up the attempts of a reindex. A provider whose
// responses are always interrupted must.
func TestInterruptedResponsesAreRequestedAgain(t *testing.T) {
	t.Parallel()
	db := newFilledDatabase(newModel, oldChunking, 12)
	step, m := newStep(t, db)
	var calls atomic.Int32
	m.respond = func(context.Context, []string) error {
		if calls.Add(1)%5 == 0 {
			return fault.New(fault.InterruptedResponse, "interrupted")
		}
		return nil
	}
	if err := step.Run(t.Context(), db.claim()); err != nil {
		t.Fatal(err)
	}
	wantBuilt(t, db)

	db = newFilledDatabase(newModel, oldChunking, 12)
	step, m = newStep(t, db)
	m.respond = func(context.Context, []string) error { return fault.New(fault.InterruptedResponse, "interrupted") }
	if err := step.Run(t.Context(), db.claim()); !fault.Is(err, fault.InterruptedResponse) || m.requests > 4*requests {
		t.Errorf("got error %v after %d requests, want %s after at most %d", err, m.requests, fault.InterruptedResponse, 4*requests)
	}
}

func TestStoppedReindexKeepsItsPassages(t *testing.T) {
	t.Parallel()
	db := newFilledDatabase(newModel, oldChunking, 12)
	step, m := newStep(t, db, func(c *reindex.StepConfig) { c.ParallelRequests = 1 })
	ctx, stop := context.WithCancel(t.Context())
	m.respond = func(context.Context, []string) error {
		if m.requests == 3 {
			stop()
		}
		return nil
	}
	if err := step.Run(ctx, db.claim()); !errors.Is(err, context.Canceled) {
		t.Fatalf("got error %v, want %v", err, context.Canceled)
	}
	if err := step.Run(t.Context(), db.claim()); err != nil {
		t.Fatal(err)
	}
	wantBuilt(t, db)
	if n := m.resent(); n != 0 {
		t.Errorf("%d texts were sent again, want none", n)
	}
}

// A worker whose reindex was paused, or claimed by another worker, writes nothing more.
func TestLostLeaseFailsTheRun(t *testing.T) {
	t.Parallel()
	db := newFilledDatabase(newModel, oldChunking, 12)
	step, _ := newStep(t, db)
	writes := 0
	db.before = func(call string) error {
		if call == "WriteToSpace" {
			if writes++; writes == 2 {
				db.claim()
			}
		}
		return nil
	}
	if err := step.Run(t.Context(), db.claim()); !fault.Is(err, fault.LeaseLost) || writes != 2 {
		t.Errorf("got error %v after %d writes, want %s after 2", err, writes, fault.LeaseLost)
	}
}

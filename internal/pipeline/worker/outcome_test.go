package worker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/pipeline/worker"
	"github.com/seed-7a112592/gristmill/internal/task"
)

func TestDecideOutcome(t *testing.T) {
	t.Parallel()
	unavailable := fault.New(fault.Unavailable, "provider is down")
	for _, test := range []struct {
		name     string
		err      error
		attempt  int
		stopping bool
		verdict  task.Verdict
		text     string
	}{
		{"dependency down", fmt.Errorf("embed: %w", unavailable), 3, false, task.VerdictWait, "provider is down"},
		{"rate limited", fault.New(fault.RateLimited, "slow down").WithRetryAfter(7 * time.Second), 1, false, task.VerdictWait, "slow down"},
		{"misconfigured", fault.New(fault.Misconfigured, "wrong key"), 3, false, task.VerdictWait, "wrong key"},
		{"a text is refused", fault.New(fault.InputRejected, "no"), 1, false, task.VerdictFail, "no"},
		{"wrong response", fault.New(fault.BadResponse, "3 vectors for 4 texts"), 1, false, task.VerdictFail, "3 vectors for 4 texts"},
		{"interrupted response, first", fault.New(fault.InterruptedResponse, "interrupted"), 1, false, task.VerdictRetry, "interrupted"},
		{"interrupted response, last", fault.New(fault.InterruptedResponse, "interrupted"), 3, false, task.VerdictFail, "given up after 3 attempts: interrupted"},
		{"original missing", fault.New(fault.NotFound, "no such object"), 1, false, task.VerdictFail, "no such object"},
		{"defect, first", errors.New("pq: secret host"), 1, false, task.VerdictRetry, "internal error; see the worker's log"},
		{"defect, last", errors.New("pq: secret host"), 3, false, task.VerdictFail, "given up after 3 attempts: internal error; see the worker's log"},
		{"process stopping", context.Canceled, 3, true, task.VerdictWait, ""},
	} {
		got := worker.DecideOutcome(test.err, test.attempt, test.stopping)
		if got.Verdict != test.verdict || got.Error != test.text {
			t.Errorf("%s: got %+v, want %s with %q", test.name, got, test.verdict, test.text)
		}
		if again := got.Verdict == task.VerdictRetry || got.Verdict == task.VerdictWait; again != (got.Delay > 0) {
			t.Errorf("%s: %s with a delay of %s", test.name, got.Verdict, got.Delay)
		}
	}
}

// Tasks that wait for the same thing come back at different times, none before the requested time,
// and all within about a minute.
func TestWaitsAreSpread(t *testing.T) {
	t.Parallel()
	for asked, want := range map[time.Duration]struct{ shortest, longest time.Duration }{
		time.Millisecond: {time.Millisecond, time.Second + time.Millisecond},
		8 * time.Second:  {8 * time.Second, 10 * time.Second},
		time.Hour:        {time.Minute, time.Minute + 10*time.Second}, // the dependency may be back sooner
	} {
		seen := map[time.Duration]bool{}
		for range 100 {
			d := worker.DecideOutcome(fault.New(fault.RateLimited, "").WithRetryAfter(asked), 1, false).Delay
			if d < want.shortest || d > want.longest {
				t.Fatalf("waits %s, want %s to %s", d, want.shortest, want.longest)
			}
			seen[d.Truncate(time.Millisecond)] = true
		}
		if len(seen) < 30 {
			t.Errorf("wait of %s: 100 tasks come back at %d different times, want at least 30", asked, len(seen))
		}
	}
}

func TestBackoffGrowsAndIsBounded(t *testing.T) {
	t.Parallel()
	for attempt, ceiling := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second} {
		for range 200 {
			if d := worker.DecideOutcome(errors.New("x"), attempt, false).Delay; d <= 0 || d > ceiling+time.Millisecond {
				t.Fatalf("attempt %d waits %s, want at most %s", attempt, d, ceiling)
			}
		}
	}
}

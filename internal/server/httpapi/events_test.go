package httpapi_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// eventTimeout is how long an event may stay unread.
const eventTimeout = 10 * time.Second

func TestEvents(t *testing.T) {
	inBubble(t, func(t *testing.T, f *follower) {
		passages := int64(0)
		f.fake.overlay = func(job *document.Job) { job.Tasks.Knowledge.Passages = passages }
		if status := f.follow("GET", ""); status != 200 {
			t.Fatalf("answer %d", status)
		}
		for name, want := range map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"} {
			if got := f.response.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		start := time.Now()
		first := f.event(document.JobQueued)

		f.signalChange() // nothing has: no event
		f.fake.setJobState(f.id, document.JobRunning)
		f.signalChange()
		second := f.event(document.JobRunning)

		passages = 7 // live progress is a change too
		f.signalChange()
		third := f.event(document.JobRunning)

		f.fake.setJobState(f.id, document.JobSucceeded)
		f.signalChange()
		last := f.event(document.JobSucceeded)
		f.wantEnd()
		if first == second || second == third || third == last {
			t.Errorf("ids %s, %s, %s, %s: want one for each state", first, second, third, last)
		}
		if held := time.Since(start); held != 0 {
			t.Errorf("took %s, want every change at once", held)
		}
	})
}

func TestEventsOfAReindex(t *testing.T) {
	inBubble(t, func(t *testing.T, f *follower) {
		ctx := tenant.With(t.Context(), tenant.Default)
		begun, err := f.fake.Begin(ctx, document.ReindexRequest{Collection: "docs"})
		if err != nil {
			t.Fatal(err)
		}
		id := begun[0].ID
		f.name, f.path = "reindex", "/v1/reindexes/"+id.String()
		f.follow("GET", "")
		f.event(document.JobQueued)
		for _, state := range []document.JobState{document.JobRunning, document.JobPaused, document.JobQueued} {
			f.fake.setReindexState(id, state)
			f.signalChange()
			f.event(state)
		}
		f.fake.setReindexState(id, document.JobSucceeded)
		f.signalChange()
		last := f.event(document.JobSucceeded)
		f.wantEnd()
		if status := f.follow("GET", last); status != 204 {
			t.Errorf("a client that has seen the end: %d, want 204", status)
		}
		// Reverted, it goes on: that is news to one who has seen the end.
		f.fake.setReindexState(id, document.JobQueued)
		f.follow("GET", last)
		f.event(document.JobQueued)
	})
}

func TestEventsGoOnFromTheLastOneSeen(t *testing.T) {
	inBubble(t, func(t *testing.T, f *follower) {
		f.follow("GET", "of another server")
		seen := f.event(document.JobQueued)
		_ = f.response.Body.Close()

		f.follow("GET", seen) // answered at once, though there is nothing new
		f.fake.setJobState(f.id, document.JobFailed)
		f.signalChange()
		last := f.event(document.JobFailed)
		f.wantEnd()

		if status := f.follow("GET", seen); status != 200 {
			t.Errorf("a client that has not seen the end: %d, want 200", status)
		}
		f.event(document.JobFailed)
		f.wantEnd()
		if status := f.follow("GET", last); status != 204 {
			t.Errorf("a client that has seen the end: %d, want 204", status)
		}
		f.wantStreamsClosed(4)
	})
}

func TestEventsWithoutAWatchLookAtTheRow(t *testing.T) {
	inBubble(t, func(t *testing.T, f *follower) {
		close(f.fake.changes)
		f.follow("GET", "")
		f.event(document.JobQueued)
		start := time.Now()
		f.fake.setJobState(f.id, document.JobSucceeded)
		f.event(document.JobSucceeded)
		if held := time.Since(start); held != time.Second {
			t.Errorf("seen after %s, want a second", held)
		}
		f.wantEnd()
	})
}

func TestEventsShowThatTheyAreAlive(t *testing.T) {
	inBubble(t, func(t *testing.T, f *follower) {
		f.follow("GET", "")
		f.event(document.JobQueued)
		for range 2 {
			start := time.Now()
			if lines := f.readBlock(); len(lines) != 1 || !strings.HasPrefix(lines[0], ":") {
				t.Fatalf("got %q, want a comment", lines)
			}
			if held := time.Since(start); held != 15*time.Second {
				t.Errorf("heartbeat after %s, want 15s", held)
			}
			// A database that is away is no reason to end.
			f.fake.failWith(fault.New(fault.Unavailable, "the database cannot be reached"))
		}
		f.fake.failWith(nil)
		f.fake.setJobState(f.id, document.JobSucceeded)
		f.event(document.JobSucceeded)
		f.wantEnd()
	})
}

func TestEventsEndWhenTheJobIsGone(t *testing.T) {
	inBubble(t, func(t *testing.T, f *follower) {
		f.follow("GET", "")
		f.event(document.JobQueued)
		<-time.After(eventTimeout + 1500*time.Millisecond) // silence is not what ends it
		f.fake.mu.Lock()
		delete(f.fake.jobs, f.id)
		f.fake.mu.Unlock()
		f.wantEnd()
	})
}

func TestEventsEndWithAnUnknownFailure(t *testing.T) {
	inBubble(t, func(t *testing.T, f *follower) {
		f.follow("GET", "")
		f.event(document.JobQueued)
		f.fake.failWith(errors.New("secret"))
		f.wantEnd()
		if !strings.Contains(f.log.String(), "secret") {
			t.Errorf("log %s: want the cause", f.log)
		}
	})
}

func TestEventsEndWithTheServer(t *testing.T) {
	inBubble(t, func(t *testing.T, f *follower) {
		f.follow("GET", "")
		f.event(document.JobQueued)
		start := time.Now()
		close(f.stopping)
		if lines := f.readBlock(); len(lines) != 1 || lines[0] != "retry: 2000" {
			t.Errorf("got %q, want to be told to come back", lines)
		}
		f.wantEnd()
		if err := f.server.Shutdown(t.Context()); err != nil || time.Since(start) > time.Second {
			t.Errorf("the server stopped after %s: %v", time.Since(start), err)
		}
	})
}

func TestEventsEndWithTheClient(t *testing.T) {
	inBubble(t, func(t *testing.T, f *follower) {
		f.follow("GET", "")
		f.event(document.JobQueued)
		_ = f.response.Body.Close()
		f.wantStreamsClosed(1) // at once, with no clock moved
	})
}

func TestEventsAreCutOffWhenNobodyReads(t *testing.T) {
	inBubble(t, func(t *testing.T, f *follower) {
		f.openRawEvents("GET")
		<-time.After(eventTimeout + time.Second)
		f.wantStreamsClosed(1)
	})
}

func TestEventsHaveNoBodyForHEAD(t *testing.T) {
	inBubble(t, func(t *testing.T, f *follower) {
		f.openRawEvents("HEAD")
		f.wantStreamsClosed(1)
	})
}

func TestEventsOfNoJob(t *testing.T) {
	t.Parallel()
	config := configOf(t, newFake())
	config.APIKey = "right"
	locked := newHandler(t, config)
	config.APIKey = ""
	h := newHandler(t, config)
	const target = "/v1/jobs/0199c7a4-0000-7000-8000-000000000000/events"
	wantProblem(t, do(locked, "GET", target, "", ""), 401, "unauthenticated", "")
	wantProblem(t, do(h, "GET", target, "", ""), 404, "not_found", "0199c7a4")
	wantProblem(t, do(h, "GET", "/v1/jobs/x/events", "", ""), 400, "bad_request", "path.id")
	wantProblem(t, do(h, "GET", target+"?wait=3s", "", ""), 400, "bad_request", "wait")
	wantProblem(t, do(h, "GET", "/v1/reindexes/0199c7a4-0000-7000-8000-000000000000/events", "", ""), 404, "not_found", "0199c7a4")
}

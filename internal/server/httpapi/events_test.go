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

// eventTimeout is the time in which a client must read an event.
const eventTimeout = 10 * time.Second

func TestEvents(t *testing.T) {
	inBubble(t, func(t *testing.T, f *follower) {
		passages := int64(0)
		f.fake.overlay = func(job *document.Job) { job.Tasks.Knowledge.Passages = passages }
		if status := f.follow("GET", ""); status != 200 {
			t.Fatalf("got %d, want 200", status)
		}
		for name, want := range map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"} {
			if got := f.response.Header.Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		start := time.Now()
		first := f.event(document.JobQueued)

		f.signalChange() // without a change: no event
		f.fake.setJobState(f.id, document.JobRunning)
		f.signalChange()
		second := f.event(document.JobRunning)

		passages = 7 // progress is a change too
		f.signalChange()
		third := f.event(document.JobRunning)

		f.fake.setJobState(f.id, document.JobSucceeded)
		f.signalChange()
		last := f.event(document.JobSucceeded)
		f.wantEnd()
		if first == second || second == third || third == last {
			t.Errorf("got ids %s, %s, %s, %s; want one for each state", first, second, third, last)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("took %s, want each event immediately after its change", took)
		}
	})
}

func TestReindexEvents(t *testing.T) {
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
			t.Errorf("Last-Event-ID of the last event: got %d, want 204", status)
		}
		// A revert continues the reindex, which is a new event for a client that has seen the end.
		f.fake.setReindexState(id, document.JobQueued)
		f.follow("GET", last)
		f.event(document.JobQueued)
	})
}

func TestEventsContinueAfterLastEventID(t *testing.T) {
	inBubble(t, func(t *testing.T, f *follower) {
		f.follow("GET", "unknown")
		seen := f.event(document.JobQueued)
		_ = f.response.Body.Close()

		f.follow("GET", seen) // gets a response immediately, without an event
		f.fake.setJobState(f.id, document.JobFailed)
		f.signalChange()
		last := f.event(document.JobFailed)
		f.wantEnd()

		if status := f.follow("GET", seen); status != 200 {
			t.Errorf("Last-Event-ID of an earlier event: got %d, want 200", status)
		}
		f.event(document.JobFailed)
		f.wantEnd()
		if status := f.follow("GET", last); status != 204 {
			t.Errorf("Last-Event-ID of the last event: got %d, want 204", status)
		}
		f.wantStreamsClosed(4)
	})
}

func TestEventsWithoutWatch(t *testing.T) {
	inBubble(t, func(t *testing.T, f *follower) {
		close(f.fake.changes)
		f.follow("GET", "")
		f.event(document.JobQueued)
		start := time.Now()
		f.fake.setJobState(f.id, document.JobSucceeded)
		f.event(document.JobSucceeded)
		if took := time.Since(start); took != time.Second {
			t.Errorf("got the event after %s, want 1s", took)
		}
		f.wantEnd()
	})
}

func TestEventsHaveHeartbeats(t *testing.T) {
	inBubble(t, func(t *testing.T, f *follower) {
		f.follow("GET", "")
		f.event(document.JobQueued)
		for range 2 {
			start := time.Now()
			if lines := f.readBlock(); len(lines) != 1 || !strings.HasPrefix(lines[0], ":") {
				t.Fatalf("got %q, want a comment", lines)
			}
			if took := time.Since(start); took != 15*time.Second {
				t.Errorf("heartbeat after %s, want 15s", took)
			}
			// The stream does not end while the database is down.
			f.fake.failWith(fault.New(fault.Unavailable, "the database cannot be reached"))
		}
		f.fake.failWith(nil)
		f.fake.setJobState(f.id, document.JobSucceeded)
		f.event(document.JobSucceeded)
		f.wantEnd()
	})
}

func TestEventsEndWhenJobIsDeleted(t *testing.T) {
	inBubble(t, func(t *testing.T, f *follower) {
		f.follow("GET", "")
		f.event(document.JobQueued)
		<-time.After(eventTimeout + 1500*time.Millisecond) // the time without events must not end the stream
		f.fake.mu.Lock()
		delete(f.fake.jobs, f.id)
		f.fake.mu.Unlock()
		f.wantEnd()
	})
}

func TestEventsEndOnInternalError(t *testing.T) {
	inBubble(t, func(t *testing.T, f *follower) {
		f.follow("GET", "")
		f.event(document.JobQueued)
		f.fake.failWith(errors.New("secret"))
		f.wantEnd()
		if !strings.Contains(f.log.String(), "secret") {
			t.Errorf("the log is %s, want the cause in it", f.log)
		}
	})
}

func TestEventsEndWhenServerStops(t *testing.T) {
	inBubble(t, func(t *testing.T, f *follower) {
		f.follow("GET", "")
		f.event(document.JobQueued)
		start := time.Now()
		close(f.stopping)
		if lines := f.readBlock(); len(lines) != 1 || lines[0] != "retry: 2000" {
			t.Errorf("got %q, want retry: 2000", lines)
		}
		f.wantEnd()
		if err := f.server.Shutdown(t.Context()); err != nil || time.Since(start) > time.Second {
			t.Errorf("the server stopped after %s: %v", time.Since(start), err)
		}
	})
}

func TestEventsEndWhenClientDisconnects(t *testing.T) {
	inBubble(t, func(t *testing.T, f *follower) {
		f.follow("GET", "")
		f.event(document.JobQueued)
		_ = f.response.Body.Close()
		f.wantStreamsClosed(1) // immediately: the fake clock does not move
	})
}

func TestUnreadEventsAreCutOff(t *testing.T) {
	inBubble(t, func(t *testing.T, f *follower) {
		f.openRawEvents("GET")
		<-time.After(eventTimeout + time.Second)
		f.wantStreamsClosed(1)
	})
}

func TestEventsHEADHasNoBody(t *testing.T) {
	inBubble(t, func(t *testing.T, f *follower) {
		f.openRawEvents("HEAD")
		f.wantStreamsClosed(1)
	})
}

func TestEventsErrors(t *testing.T) {
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

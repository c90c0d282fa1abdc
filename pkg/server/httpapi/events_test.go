package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/server/httpapi"
	"github.com/seed-7a112592/gristmill/test/await"
)

// eventTimeout is how long an event may stay unread.
const eventTimeout = 10 * time.Second

// pipes is a listener whose connections live in a synctest bubble.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	p.conns <- server
	return client, nil
}

// follower follows one job of a fake, in a bubble: all that is in flight has
// arrived, and all that has gone is gone, when synctest.Wait returns.
type follower struct {
	t        *testing.T
	fake     *fake
	id       uuid.UUID
	server   *http.Server
	client   *http.Client
	pipes    *pipes
	log      *await.Buffer
	stopping chan struct{}
	response *http.Response
	lines    *bufio.Reader
}

func newFollower(t *testing.T) *follower {
	f := newFake()
	config := configOf(t, f)
	log := &await.Buffer{}
	config.Log = slog.New(slog.NewTextHandler(io.MultiWriter(t.Output(), log), nil))
	f.changes = make(chan struct{}) // of this bubble
	stopping := make(chan struct{})
	config.Stopping = stopping
	h := httpapi.New(config)
	id := put(t, h, "a.md", "# a").Job.ID
	p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	transport := &http.Transport{DialContext: p.dial}
	server := &http.Server{Handler: h}
	go func() { _ = server.Serve(p) }()
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = server.Close()
	})
	return &follower{t: t, fake: f, id: id, server: server, client: &http.Client{Transport: transport}, pipes: p, log: log, stopping: stopping}
}

// follow asks for events and returns the answer's status.
func (f *follower) follow(method, lastEventID string) int {
	f.t.Helper()
	request, err := http.NewRequestWithContext(f.t.Context(), method, "http://gristmill.test/v1/jobs/"+f.id.String()+"/events", nil)
	if err != nil {
		f.t.Fatal(err)
	}
	request.Header.Set("Last-Event-ID", lastEventID)
	if f.response, err = f.client.Do(request); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = f.response.Body.Close() })
	f.lines = bufio.NewReader(f.response.Body)
	synctest.Wait()
	return f.response.StatusCode
}

// raw asks for events on a connection that nothing reads by itself, and reads
// the answer's header.
func (f *follower) raw(method string) *bufio.Reader {
	f.t.Helper()
	conn, err := f.pipes.dial(f.t.Context(), "", "")
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, method+" /v1/jobs/"+f.id.String()+"/events HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		f.t.Fatal(err)
	}
	lines := bufio.NewReader(conn)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			f.t.Fatal(err)
		}
		if line == "\r\n" {
			return lines
		}
	}
}

// block reads up to the next empty line. It returns nothing at the end.
func (f *follower) block() (lines []string) {
	f.t.Helper()
	for {
		line, err := f.lines.ReadString('\n')
		if errors.Is(err, io.EOF) && line == "" && len(lines) == 0 {
			return nil
		}
		if err != nil {
			f.t.Fatalf("after %q: %v", append(lines, line), err)
		}
		if line == "\n" {
			return lines
		}
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
}

// event reads the next event, which must be the job as GET gives it now.
func (f *follower) event(state document.JobState) (id string) {
	f.t.Helper()
	lines := f.block()
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "id: ") || lines[1] != "event: job" || !strings.HasPrefix(lines[2], "data: ") {
		f.t.Fatalf("got %q, want an event of name job with id and data", lines)
	}
	data := strings.TrimPrefix(lines[2], "data: ")
	if want := strings.TrimSpace(f.get()); data != want {
		f.t.Errorf("event %s, want the job as it is: %s", data, want)
	}
	var job document.Job
	if err := json.Unmarshal([]byte(data), &job); err != nil || job.State != state {
		f.t.Errorf("job %s is %s (%v), want %s", job.ID, job.State, err, state)
	}
	return strings.TrimPrefix(lines[0], "id: ")
}

func (f *follower) get() string {
	f.t.Helper()
	response, err := f.client.Get("http://gristmill.test/v1/jobs/" + f.id.String())
	if err != nil {
		f.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return string(body)
}

// tell has the server look at the job, which it has done when tell returns.
func (f *follower) tell() {
	f.fake.changes <- struct{}{}
	synctest.Wait()
}

// wantEnd checks that the stream ends here.
func (f *follower) wantEnd() {
	f.t.Helper()
	if lines := f.block(); lines != nil {
		f.t.Errorf("got %q, want the end of the stream", lines)
	}
	f.wantOver(1)
}

// wantOver checks that the server has done with so many streams by now, and
// that nothing is left of them.
func (f *follower) wantOver(streams int) {
	f.t.Helper()
	synctest.Wait()
	if over := strings.Count(f.log.String(), "/events status="); over < streams {
		f.t.Errorf("%d streams are over, want %d", over, streams)
	}
	f.fake.mu.Lock()
	defer f.fake.mu.Unlock()
	if f.fake.watching != 0 {
		f.t.Errorf("%d watches are left", f.fake.watching)
	}
}

// inBubble runs a test of events on a clock of its own.
func inBubble(t *testing.T, test func(t *testing.T, f *follower)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { test(t, newFollower(t)) })
}

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
		first := f.event(document.Queued)

		f.tell() // nothing has: no event
		f.fake.set(f.id, document.Running)
		f.tell()
		second := f.event(document.Running)

		passages = 7 // live progress is a change too
		f.tell()
		third := f.event(document.Running)

		f.fake.set(f.id, document.Succeeded)
		f.tell()
		last := f.event(document.Succeeded)
		f.wantEnd()
		if first == second || second == third || third == last {
			t.Errorf("ids %s, %s, %s, %s: want one for each state", first, second, third, last)
		}
		if held := time.Since(start); held != 0 {
			t.Errorf("took %s, want every change at once", held)
		}
	})
}

func TestEventsGoOnFromTheLastOneSeen(t *testing.T) {
	inBubble(t, func(t *testing.T, f *follower) {
		f.follow("GET", "of another server")
		seen := f.event(document.Queued)
		_ = f.response.Body.Close()

		f.follow("GET", seen) // answered at once, though there is nothing new
		f.fake.set(f.id, document.JobFailed)
		f.tell()
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
		f.wantOver(4)
	})
}

func TestEventsWithoutAWatchLookAtTheRow(t *testing.T) {
	inBubble(t, func(t *testing.T, f *follower) {
		close(f.fake.changes)
		f.follow("GET", "")
		f.event(document.Queued)
		start := time.Now()
		f.fake.set(f.id, document.Succeeded)
		f.event(document.Succeeded)
		if held := time.Since(start); held != time.Second {
			t.Errorf("seen after %s, want a second", held)
		}
		f.wantEnd()
	})
}

func TestEventsShowThatTheyAreAlive(t *testing.T) {
	inBubble(t, func(t *testing.T, f *follower) {
		f.follow("GET", "")
		f.event(document.Queued)
		for range 2 {
			start := time.Now()
			if lines := f.block(); len(lines) != 1 || !strings.HasPrefix(lines[0], ":") {
				t.Fatalf("got %q, want a comment", lines)
			}
			if held := time.Since(start); held != 15*time.Second {
				t.Errorf("heartbeat after %s, want 15s", held)
			}
			// A database that is away is no reason to end.
			f.fake.refuse(fault.New(fault.Unavailable, "the database cannot be reached"))
		}
		f.fake.refuse(nil)
		f.fake.set(f.id, document.Succeeded)
		f.event(document.Succeeded)
		f.wantEnd()
	})
}

func TestEventsEndWhenTheJobIsGone(t *testing.T) {
	inBubble(t, func(t *testing.T, f *follower) {
		f.follow("GET", "")
		f.event(document.Queued)
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
		f.event(document.Queued)
		f.fake.refuse(errors.New("secret"))
		f.wantEnd()
		if !strings.Contains(f.log.String(), "secret") {
			t.Errorf("log %s: want the cause", f.log)
		}
	})
}

func TestEventsEndWithTheServer(t *testing.T) {
	inBubble(t, func(t *testing.T, f *follower) {
		f.follow("GET", "")
		f.event(document.Queued)
		start := time.Now()
		close(f.stopping)
		if lines := f.block(); len(lines) != 1 || lines[0] != "retry: 2000" {
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
		f.event(document.Queued)
		_ = f.response.Body.Close()
		f.wantOver(1) // at once, with no clock moved
	})
}

func TestEventsAreCutOffWhenNobodyReads(t *testing.T) {
	inBubble(t, func(t *testing.T, f *follower) {
		f.raw("GET")
		<-time.After(eventTimeout + time.Second)
		f.wantOver(1)
	})
}

func TestEventsHaveNoBodyForHEAD(t *testing.T) {
	inBubble(t, func(t *testing.T, f *follower) {
		f.raw("HEAD")
		f.wantOver(1)
	})
}

func TestEventsOfNoJob(t *testing.T) {
	t.Parallel()
	config := configOf(t, newFake())
	config.APIKey = "right"
	locked := httpapi.New(config)
	config.APIKey = ""
	h := httpapi.New(config)
	const target = "/v1/jobs/0199c7a4-0000-7000-8000-000000000000/events"
	wantProblem(t, do(locked, "GET", target, "", ""), 401, "unauthenticated", "")
	wantProblem(t, do(h, "GET", target, "", ""), 404, "not_found", "0199c7a4")
	wantProblem(t, do(h, "GET", "/v1/jobs/x/events", "", ""), 400, "bad_request", "path.id")
	wantProblem(t, do(h, "GET", target+"?wait=3s", "", ""), 400, "bad_request", "wait")
}

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

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// pipeListener is a listener with in-memory connections, for use in a synctest bubble.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (p *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipeListener) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipeListener) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	p.conns <- server
	return client, nil
}

// follower follows one job or reindex of a fake in a synctest bubble. After synctest.Wait, all that was
// sent has been received, and all closed connections are closed on both sides.
type follower struct {
	t        *testing.T
	fake     *fake
	id       uuid.UUID // of the job
	name     string    // of the events
	path     string
	server   *http.Server
	client   *http.Client
	listener *pipeListener
	log      *await.LogBuffer
	stopping chan struct{}
	response *http.Response
	lines    *bufio.Reader
}

func newFollower(t *testing.T) *follower {
	f := newFake()
	config := configOf(t, f)
	log := &await.LogBuffer{}
	config.Log = slog.New(slog.NewTextHandler(io.MultiWriter(t.Output(), log), nil))
	f.changes = make(chan struct{}) // of this bubble
	stopping := make(chan struct{})
	config.Stopping = stopping
	h := newHandler(t, config)
	id := put(t, h, "a.md", "# a").Job.ID
	p := &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
	transport := &http.Transport{DialContext: p.dial}
	server := &http.Server{Handler: h}
	go func() { _ = server.Serve(p) }()
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = server.Close()
	})
	return &follower{t: t, fake: f, id: id, name: "job", path: "/v1/jobs/" + id.String(), server: server, client: &http.Client{Transport: transport}, listener: p, log: log, stopping: stopping}
}

// follow requests events and returns the status of the response.
func (f *follower) follow(method, lastEventID string) int {
	f.t.Helper()
	request, err := http.NewRequestWithContext(f.t.Context(), method, "http://localhost"+f.path+"/events", nil)
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

// openRawEvents requests events on a connection that only the test reads, and reads the header of the
// response.
func (f *follower) openRawEvents(method string) *bufio.Reader {
	f.t.Helper()
	conn, err := f.listener.dial(f.t.Context(), "", "")
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, method+" "+f.path+"/events HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
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

// readBlock reads the lines up to the next empty line. At the end of the stream it returns nil.
func (f *follower) readBlock() (lines []string) {
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

// event reads the next event and returns its id. Its data must equal the current response of GET.
func (f *follower) event(state document.JobState) (id string) {
	f.t.Helper()
	lines := f.readBlock()
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "id: ") || lines[1] != "event: "+f.name || !strings.HasPrefix(lines[2], "data: ") {
		f.t.Fatalf("got %q, want an event of name %s with id and data", lines, f.name)
	}
	data := strings.TrimPrefix(lines[2], "data: ")
	if want := strings.TrimSpace(f.get()); data != want {
		f.t.Errorf("got event %s, want the current %s: %s", data, f.name, want)
	}
	var item struct{ State document.JobState }
	if err := json.Unmarshal([]byte(data), &item); err != nil || item.State != state {
		f.t.Errorf("got a %s in state %s (%v), want %s", f.name, item.State, err, state)
	}
	return strings.TrimPrefix(lines[0], "id: ")
}

func (f *follower) get() string {
	f.t.Helper()
	response, err := f.client.Get("http://localhost" + f.path)
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

// signalChange notifies the server of a change, and returns after the server has read the job or
// reindex.
func (f *follower) signalChange() {
	f.fake.changes <- struct{}{}
	synctest.Wait()
}

// wantEnd checks that the stream ends here.
func (f *follower) wantEnd() {
	f.t.Helper()
	if lines := f.readBlock(); lines != nil {
		f.t.Errorf("got %q, want the end of the stream", lines)
	}
	f.wantStreamsClosed(1)
}

// wantStreamsClosed checks that the server has closed at least that number of streams, and that no
// watch is left.
func (f *follower) wantStreamsClosed(streams int) {
	f.t.Helper()
	synctest.Wait()
	if closed := strings.Count(f.log.String(), "/events status="); closed < streams {
		f.t.Errorf("%d streams are closed, want %d", closed, streams)
	}
	f.fake.mu.Lock()
	defer f.fake.mu.Unlock()
	if f.fake.watching != 0 {
		f.t.Errorf("%d watches are left, want none", f.fake.watching)
	}
}

// inBubble runs a test of events in a synctest bubble, with a fake clock.
func inBubble(t *testing.T, test func(t *testing.T, f *follower)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { test(t, newFollower(t)) })
}

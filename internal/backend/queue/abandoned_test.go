package queue_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/seed-7a112592/gristmill/internal/backend/queue"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/test/await"
)

// The connection is lost over which Redis delivers a task. Redis counts the task as active, but no
// worker has it. It is delivered again soon.
func TestRequeueAfterLostDelivery(t *testing.T) {
	onEachRedis(t, func(t *testing.T, address string) {
		c := newClient(t, address)
		c.SetAbandonedAfter(10 * time.Millisecond)
		lossy := newLossyProxy(t, address)
		delivered := make(chan task.Ref, 10)
		runServer(t, queue.ServerConfig{RedisURL: lossy.url}, collectTasks(delivered))
		ref := newRef(task.KindKnowledge)
		enqueue(t, c, ref)
		await.Until(t, "a reply is lost", func() bool { return lossy.lost.Load() })
		requeued := 0
		await.Until(t, "the task is requeued", func() bool {
			n, err := c.RequeueAbandoned(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			requeued += n
			return requeued > 0
		})
		if got := await.Receive(t, delivered); got != ref {
			t.Errorf("delivered %s, want %s", got, ref)
		}
	})
}

// A task that a worker runs, or that waits, is not delivered a second time.
func TestRequeueLeavesRunningTasks(t *testing.T) {
	onEachRedis(t, func(t *testing.T, address string) {
		c := newClient(t, address)
		c.SetAbandonedAfter(0)
		started, end := make(chan task.Ref, 10), make(chan struct{})
		defer close(end)
		runServer(t, queue.ServerConfig{RedisURL: address}, func(_ context.Context, ref task.Ref) time.Duration {
			started <- ref
			<-end
			return 0
		})
		enqueue(t, c, newRef(task.KindKnowledge), newRef(task.KindKnowledge))
		await.Receive(t, started)
		i := inspector(t, address)
		await.Until(t, "the worker lists its task", func() bool {
			servers, err := i.Servers()
			return err == nil && len(servers) == 1 && len(servers[0].ActiveWorkers) == 1
		})
		for range 3 {
			if n, err := c.RequeueAbandoned(t.Context()); n > 0 || err != nil {
				t.Errorf("requeued %d tasks, %v, want none", n, err)
			}
		}
		for state, list := range map[string]func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
			"active": i.ListActiveTasks, "pending": i.ListPendingTasks,
		} {
			if tasks, err := list(string(task.KindKnowledge)); err != nil || len(tasks) != 1 {
				t.Errorf("%d tasks are %s, %v, want 1", len(tasks), state, err)
			}
		}
	})
}

// lossyProxy is a proxy to a Redis. It closes the first connection over which Redis would deliver a
// task, instead of forwarding the reply.
type lossyProxy struct {
	url  string
	lost atomic.Bool
}

func newLossyProxy(t *testing.T, address string) *lossyProxy {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	server := u.Host
	u.Host = listener.Addr().String()
	p := &lossyProxy{url: u.String()}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(client, server)
		}
	}()
	return p
}

func (p *lossyProxy) serve(client net.Conn, address string) {
	defer client.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	var taking atomic.Bool // the current request may take a task
	go func() {
		defer server.Close()
		_, _ = io.Copy(server, reader(func(b []byte) (int, error) {
			n, err := client.Read(b)
			taking.Store(bytes.Contains(b[:n], []byte(":paused")) && bytes.Contains(b[:n], []byte(":pending")))
			return n, err
		}))
	}()
	_, _ = io.Copy(client, reader(func(b []byte) (int, error) {
		n, err := server.Read(b)
		if taking.Load() && bytes.Contains(b[:n], []byte(`"tenant"`)) && p.lost.CompareAndSwap(false, true) {
			return 0, io.EOF
		}
		return n, err
	}))
}

// reader implements io.Reader by a function.
type reader func([]byte) (int, error)

func (r reader) Read(b []byte) (int, error) { return r(b) }

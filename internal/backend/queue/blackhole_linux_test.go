package queue_test

import (
	"context"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/backend/queue"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
)

// newBlackHole returns an address that does not answer connection attempts: a listener whose
// backlog is full, so that Linux drops new connections.
func newBlackHole(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	for {
		conn, err := net.DialTimeout("tcp", address, 200*time.Millisecond)
		if err != nil {
			return address
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
}

func TestBlackHole(t *testing.T) {
	t.Parallel()
	address := newBlackHole(t)
	c := newClient(t, "redis://"+address)
	start := time.Now()
	err := c.Enqueue(t.Context(), dispatchOf(newRef(task.KindKnowledge)), dispatchOf(newRef(task.KindSummary)))
	if took := time.Since(start); !fault.Is(err, fault.Unavailable) || took > 2*time.Second {
		t.Errorf("Enqueue = %v after %s, want %s within about a second", err, took, fault.Unavailable)
	}
	stop := runServer(t, queue.ServerConfig{RedisURL: "redis://" + address}, func(context.Context, task.Ref) time.Duration { return 0 })
	start = time.Now()
	stop()
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("stopping took %s", took)
	}
}

package progress_test

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/backend/progress"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/services"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// onEachRedis runs a test on a real Redis and on the embedded one of dev mode.
func onEachRedis(t *testing.T, test func(t *testing.T, url string)) {
	t.Parallel()
	t.Run("redis", func(t *testing.T) {
		t.Parallel()
		test(t, services.Redis(t))
	})
	t.Run("miniredis", func(t *testing.T) {
		t.Parallel()
		test(t, "redis://"+miniredis.RunT(t).Addr())
	})
}

// newStore returns a store that waits for a slow Redis. On a busy machine an answer may take longer
// than half a second, and most tests are about the state in Redis, not about the state that a
// process keeps without it.
func newStore(t testing.TB, url string) *progress.Store {
	t.Helper()
	l, err := progress.NewStoreWithTimeout(progress.Config{RedisURL: url, Log: slog.New(slog.DiscardHandler)}, time.Minute)
	return closeAfter(t, l, err)
}

// newStoreWithLog returns a store with the timeouts that the programs use.
func newStoreWithLog(t testing.TB, url string, log slog.Handler) *progress.Store {
	t.Helper()
	l, err := progress.NewStore(progress.Config{RedisURL: url, Log: slog.New(log)})
	return closeAfter(t, l, err)
}

func closeAfter(t testing.TB, l *progress.Store, err error) *progress.Store {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return l
}

func newWork(kind task.Kind) task.Work {
	return task.Work{
		Ref:     task.Ref{Tenant: "acme", DocumentID: uuid.Must(uuid.NewV7()), Version: 1, Kind: kind},
		JobID:   uuid.Must(uuid.NewV7()),
		Attempt: 1,
	}
}

func tenantContext(t testing.TB) context.Context { return tenant.With(t.Context(), "acme") }

func mustProgress(t testing.TB, l *progress.Store, job uuid.UUID) progress.Snapshot {
	t.Helper()
	s, err := l.Progress(tenantContext(t), job)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// If Redis is down, only calls that read fail, and none waits, except one call in about a
// second that tries Redis.
func TestRedisDown(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(t *testing.T) string{
		"refuses": func(t *testing.T) string {
			listener := listen(t)
			_ = listener.Close()
			return listener.Addr().String()
		},
		"hangs": func(t *testing.T) string { return listen(t).Addr().String() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log await.LogBuffer
			l := newStoreWithLog(t, "redis://"+open(t), slog.NewTextHandler(&log, nil))
			work := newWork(task.KindKnowledge)

			// After the first failure, calls are skipped.
			start := time.Now()
			_, err := l.Progress(tenantContext(t), work.JobID)
			if took := time.Since(start); !fault.Is(err, fault.Unavailable) || took > 2*time.Second {
				t.Fatalf("Progress = %v after %s, want %s soon", err, took, fault.Unavailable)
			}
			_, err = l.Progress(tenantContext(t), work.JobID)
			if f := fault.As(err); f == nil || f.RetryAfter <= 0 || !strings.Contains(err.Error(), "a moment ago") {
				t.Errorf("the next Progress = %v, want it to be skipped", err)
			}
			for call, do := range map[string]func(){
				"Report":  func() { l.ReportProgress(t.Context(), work, document.KnowledgeProgress{BytesDone: 1}) },
				"Changed": func() { l.NotifyChange(t.Context(), work.JobID) },
				"Watch": func() {
					if _, _, err := l.Watch(t.Context(), work.JobID); err != nil {
						t.Error(err)
					}
				},
			} {
				const calls = 1000
				start := time.Now()
				for range calls {
					do()
				}
				if each := time.Since(start) / calls; each > time.Millisecond {
					t.Errorf("%s takes %s while Redis is down", call, each)
				}
			}
			if err := l.Ping(t.Context()); !fault.Is(err, fault.Unavailable) {
				t.Errorf("Ping = %v, want %s", err, fault.Unavailable)
			}
			if n := strings.Count(log.String(), "\n"); n != 1 {
				t.Errorf("%d lines in the log about one outage:\n%s", n, log.String())
			}
		})
	}
}

func TestRedisRecovers(t *testing.T) {
	t.Parallel()
	redis := miniredis.RunT(t)
	var log await.LogBuffer
	l := newStoreWithLog(t, "redis://"+redis.Addr(), slog.NewTextHandler(&log, nil))
	work := newWork(task.KindKnowledge)
	changes, stop, err := l.Watch(t.Context(), work.JobID)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	await.Receive(t, changes)

	redis.Close()
	await.Until(t, "Redis is down", func() bool { _, err := l.Progress(tenantContext(t), work.JobID); return err != nil })
	if err := redis.Restart(); err != nil {
		t.Fatal(err)
	}
	await.Receive(t, changes) // signalled because the job may have changed meanwhile
	await.Until(t, "Redis is up again", func() bool { _, err := l.Progress(tenantContext(t), work.JobID); return err == nil })
	l.ReportProgress(t.Context(), work, document.KnowledgeProgress{BytesDone: 1})
	await.Receive(t, changes)
	for _, line := range []string{"cannot be reached", "can be reached again"} {
		if n := strings.Count(log.String(), line); n != 1 {
			t.Errorf("%q is in the log %d times, want once:\n%s", line, n, log.String())
		}
	}
}

func TestPing(t *testing.T) {
	onEachRedis(t, func(t *testing.T, url string) {
		if err := newStore(t, url).Ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestClose(t *testing.T) {
	onEachRedis(t, func(t *testing.T, url string) {
		l, work := newStore(t, url), newWork(task.KindKnowledge)
		for done := range int64(100) {
			l.ReportProgress(t.Context(), work, document.KnowledgeProgress{BytesDone: done})
		}
		for range 2 {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if s := mustProgress(t, newStore(t, url), work.JobID); s.Knowledge == nil || s.Knowledge.Progress.BytesDone != 99 {
			t.Errorf("after Close the progress is %+v, want the last report", s.Knowledge)
		}
		l.ReportProgress(t.Context(), work, document.KnowledgeProgress{})
		l.NotifyChange(t.Context(), work.JobID)
		if _, _, err := l.Watch(t.Context(), work.JobID); err == nil {
			t.Error("Watch after Close succeeded")
		}
	})
}

func TestNewStoreRejectsInvalidURL(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "127.0.0.1:6379", "http://127.0.0.1", "redis://127.0.0.1/x"} {
		if _, err := progress.NewStore(progress.Config{RedisURL: url, Log: slog.New(slog.DiscardHandler)}); err == nil {
			t.Errorf("NewStore(%q) succeeded", url)
		}
	}
}

func BenchmarkReportWhileRedisIsDown(b *testing.B) {
	listener := listen(b)
	_ = listener.Close()
	l := newStore(b, "redis://"+listener.Addr().String())
	work := newWork(task.KindKnowledge)
	for b.Loop() {
		l.ReportProgress(b.Context(), work, document.KnowledgeProgress{BytesDone: 1})
	}
}

// listen returns a listener that accepts no connections: they hang.
func listen(t testing.TB) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

package live_test

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/backend/live"
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
	"github.com/seed-7a112592/gristmill/test/await"
	"github.com/seed-7a112592/gristmill/test/services"
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

func newLive(t testing.TB, url string) *live.Live {
	t.Helper()
	return newLogged(t, url, slog.DiscardHandler)
}

func newLogged(t testing.TB, url string, log slog.Handler) *live.Live {
	t.Helper()
	l, err := live.New(live.Config{RedisURL: url, Log: slog.New(log)})
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

func newWork(kind document.TaskKind) document.Work {
	return document.Work{
		TaskRef: document.TaskRef{Tenant: "acme", Document: uuid.Must(uuid.NewV7()), Version: 1, Kind: kind},
		Job:     uuid.Must(uuid.NewV7()),
		Attempt: 1,
	}
}

func acme(t testing.TB) context.Context { return tenant.With(t.Context(), "acme") }

func progress(t testing.TB, l *live.Live, job uuid.UUID) live.Snapshot {
	t.Helper()
	s, err := l.Progress(acme(t), job)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The promise to everything else: with Redis down nothing fails and nothing
// waits, but for the one call in a second or so that tries it.
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
			var log await.Buffer
			l := newLogged(t, "redis://"+open(t), slog.NewTextHandler(&log, nil))
			work := newWork(document.Knowledge)

			// Once it is known, calls are skipped.
			start := time.Now()
			_, err := l.Progress(acme(t), work.Job)
			if took := time.Since(start); !fault.Is(err, fault.Unavailable) || took > 2*time.Second {
				t.Fatalf("Progress = %v after %s, want %s soon", err, took, fault.Unavailable)
			}
			_, err = l.Progress(acme(t), work.Job)
			if f := fault.As(err); f == nil || f.RetryAfter <= 0 || !strings.Contains(err.Error(), "a moment ago") {
				t.Errorf("the next Progress = %v, want it to be skipped", err)
			}
			for call, do := range map[string]func(){
				"Report":  func() { l.Report(t.Context(), work, document.KnowledgeProgress{BytesDone: 1}) },
				"Changed": func() { l.Changed(t.Context(), work.Job) },
				"Watch": func() {
					if _, _, err := l.Watch(t.Context(), work.Job); err != nil {
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
					t.Errorf("%s takes %s", call, each)
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

func TestRedisComesBack(t *testing.T) {
	t.Parallel()
	redis := miniredis.RunT(t)
	var log await.Buffer
	l := newLogged(t, "redis://"+redis.Addr(), slog.NewTextHandler(&log, nil))
	work := newWork(document.Knowledge)
	changes, stop, err := l.Watch(t.Context(), work.Job)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	await.Value(t, changes)

	redis.Close()
	await.Until(t, "Redis is gone", func() bool { _, err := l.Progress(acme(t), work.Job); return err != nil })
	if err := redis.Restart(); err != nil {
		t.Fatal(err)
	}
	await.Value(t, changes) // it may have changed meanwhile
	await.Until(t, "Redis is back", func() bool { _, err := l.Progress(acme(t), work.Job); return err == nil })
	l.Report(t.Context(), work, document.KnowledgeProgress{BytesDone: 1})
	await.Value(t, changes)
	for _, line := range []string{"cannot be reached", "can be reached again"} {
		if n := strings.Count(log.String(), line); n != 1 {
			t.Errorf("%q is %d times in the log, want once:\n%s", line, n, log.String())
		}
	}
}

func TestPing(t *testing.T) {
	onEachRedis(t, func(t *testing.T, url string) {
		if err := newLive(t, url).Ping(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestClose(t *testing.T) {
	onEachRedis(t, func(t *testing.T, url string) {
		l, work := newLive(t, url), newWork(document.Knowledge)
		for done := range int64(100) {
			l.Report(t.Context(), work, document.KnowledgeProgress{BytesDone: done})
		}
		for range 2 {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if s := progress(t, newLive(t, url), work.Job); s.Knowledge == nil || s.Knowledge.Progress.BytesDone != 99 {
			t.Errorf("after Close there is %+v, want what was reported last", s.Knowledge)
		}
		l.Report(t.Context(), work, document.KnowledgeProgress{})
		l.Changed(t.Context(), work.Job)
		if _, _, err := l.Watch(t.Context(), work.Job); err == nil {
			t.Error("Watch after Close succeeded")
		}
	})
}

func TestMisconfigured(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "127.0.0.1:6379", "http://127.0.0.1", "redis://127.0.0.1/x"} {
		if _, err := live.New(live.Config{RedisURL: url, Log: slog.New(slog.DiscardHandler)}); err == nil {
			t.Errorf("New(%q) succeeded", url)
		}
	}
}

func BenchmarkReportWhileRedisIsDown(b *testing.B) {
	listener := listen(b)
	_ = listener.Close()
	l := newLive(b, "redis://"+listener.Addr().String())
	work := newWork(document.Knowledge)
	for b.Loop() {
		l.Report(b.Context(), work, document.KnowledgeProgress{BytesDone: 1})
	}
}

// listen returns a listener that nobody serves: connections hang.
func listen(t testing.TB) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

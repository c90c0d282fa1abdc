package fault_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
)

// refillDeadline is the time limit for refilling the queue after Redis is back. A sweep starts
// every 10 s.
const refillDeadline = 20 * time.Second

// Redis loses all its data, and then is stopped for a while. Uploads are accepted, and every job
// succeeds.
func TestRedisLosesDataAndStops(t *testing.T) {
	t.Parallel()
	outage := ifShort(10*time.Second, 30*time.Second)
	servers := ownServers(t)
	m := newTestEnv(t, servers, fakeprovider.Options{Latency: 20 * time.Millisecond, TextsPerSecond: 60}, "GRISTMILL_WORKER_CONCURRENCY=4")
	m.startAll()
	files := newFiles(m.random, ifShort(60, 120))
	before, during := files[:len(files)-10], files[len(files)-10:]
	m.uploadAll(before)
	await.Until(t, "the work has started", func() bool { return m.provider.Counts().TextsAnswered > 0 })

	flushAll(t, m.direct.RedisURL)
	servers.stop(t, "redis")
	back := time.After(outage)
	for _, f := range during {
		began := time.Now()
		if _, err := m.uploads.Upload(t.Context(), m.client(), f.key, f.text); err != nil {
			t.Errorf("upload without Redis: %v", err)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("upload without Redis took %s", took)
		}
	}
	<-back
	undone := m.direct.QueryInt(`SELECT count(*) FROM tasks WHERE state IN ('queued', 'running', 'waiting')`)
	servers.start(t, "redis")
	returned := time.Now()
	if undone < len(files) {
		t.Fatalf("only %d tasks were left to lose; the provider must be slower for this test", undone)
	}

	await.Within(t, refillDeadline, "the queue contains every dispatched task again", func() bool { return m.countMissingQueued() == 0 })
	t.Logf("of %d remaining tasks, the queue had all dispatched ones after %s", undone, time.Since(returned).Round(time.Second))
	m.audit(5*time.Minute, 0)
}

// countMissingQueued returns the number of tasks that are dispatched according to their rows, but
// not in the queue. It reads asynq's keys directly, because asynq's inspector does not see a queue
// that is not announced.
func (m *testEnv) countMissingQueued() int {
	m.t.Helper()
	options, err := redis.ParseURL(m.direct.RedisURL)
	if err != nil {
		m.t.Fatal(err)
	}
	queue := redis.NewClient(options)
	defer queue.Close()
	conn := m.direct.Connect()
	defer conn.Close(context.WithoutCancel(m.t.Context()))
	rows, err := conn.Query(m.t.Context(), `
		SELECT kind, document, version, round FROM tasks
		WHERE state IN ('queued', 'waiting') AND dispatched_at IS NOT NULL AND coalesce(next_attempt_at <= now(), true)`)
	if err != nil {
		m.t.Fatal(err)
	}
	missing := 0
	var task task.Dispatch
	if _, err := pgx.ForEachRow(rows, []any{&task.Kind, &task.DocumentID, &task.Version, &task.Round}, func() error {
		found, err := queue.Exists(m.t.Context(), fmt.Sprintf("asynq:{%s}:t:%s", task.Kind, task)).Result()
		if found == 0 {
			missing++
		}
		return err
	}); err != nil {
		m.t.Fatal(err)
	}
	return missing
}

// flushAll deletes all data of a Redis server.
func flushAll(t *testing.T, address string) {
	t.Helper()
	options, err := redis.ParseURL(address)
	if err != nil {
		t.Fatal(err)
	}
	server := redis.NewClient(options)
	defer server.Close()
	if err := server.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}

package postgres_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// deathWatcher attends, and keeps which processes have died.
type deathWatcher struct {
	mu   sync.Mutex
	died []int64
}

func (w *deathWatcher) start(t *testing.T, d database) {
	t.Helper()
	s := d.open(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.WatchProcesses(ctx, func(_ context.Context, process int64) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.died = append(w.died, process)
			return nil
		})
	}()
	t.Cleanup(func() { stop(); <-done })
}

func (w *deathWatcher) sawDeath(process int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Contains(w.died, process)
}

// startProcess has a process live until its connection is closed.
func startProcess(t *testing.T, d database, id int64) *pgx.Conn {
	t.Helper()
	conn := connect(t, d.owner)
	for _, statement := range []string{`SELECT pg_advisory_lock_shared($1)`, `INSERT INTO processes (id) VALUES ($1)`} {
		if _, err := conn.Exec(t.Context(), statement, id); err != nil {
			t.Fatal(err)
		}
	}
	return conn
}

// A process has died when its connection is closed and no other of its is
// there. Every other process sees it, and no live process is taken for dead.
func TestDeadProcessesAreSeen(t *testing.T) {
	t.Parallel()
	d := preparedDatabase(t)
	d.migrate(t)
	lives, dies, returns := int64(1), int64(-1<<62+5), int64(1<<40)
	defer startProcess(t, d, lives).Close(context.Background())
	first, second := startProcess(t, d, dies), startProcess(t, d, returns)
	var one, two deathWatcher
	one.start(t, d)
	two.start(t, d)
	count := func() int { return len(queryTexts(t, d.owner, `SELECT id::text FROM processes`)) }
	await.Until(t, "all are known", func() bool { return count() == 5 })

	first.Close(t.Context())
	second.Close(t.Context())
	execute(t, d.owner, `DELETE FROM processes WHERE id = $1`, returns)
	defer startProcess(t, d, returns).Close(context.Background()) // over a new connection
	// The witnesses lose theirs too.
	execute(t, d.owner, `
		SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE usename = $1 AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory')`, d.role)
	await.Until(t, "the dead process is forgotten", func() bool { return count() == 4 })
	if !one.sawDeath(dies) && !two.sawDeath(dies) {
		t.Error("it is not known that it has died")
	}
	for name, w := range map[string]*deathWatcher{"one": &one, "two": &two} {
		w.mu.Lock()
		for _, process := range w.died {
			if process != dies {
				t.Errorf("witness %s took a process that lives for dead: %d", name, process)
			}
		}
		w.mu.Unlock()
	}
}

// What a dead process was at is due at once; what another is at, and what was
// renewed a moment ago, is not taken.
func TestReclaimTakesFromTheDeadOnly(t *testing.T) {
	t.Parallel()
	const lease, left = 30 * time.Second, 25 * time.Second
	d, s, ctx, c := withCollection(t, 2)
	begin := func(key string, process int64, ttl time.Duration) task.Work {
		t.Helper()
		accepted, err := upload(ctx, s, original.Upload{Collection: c, Key: key, Size: 1})
		if err != nil {
			t.Fatal(err)
		}
		work, err := s.Claim(ctx, task.Ref{Tenant: tenant.Default, DocumentID: accepted.Document.ID, Version: 1, Kind: task.KindKnowledge}, ttl)
		if err != nil {
			t.Fatal(err)
		}
		execute(t, d.owner, `UPDATE tasks SET process = $2 WHERE job = $1 AND state = 'running'`, work.JobID, process)
		return work
	}
	const dead, alive = 1, 2
	lost := begin("lost", dead, 20*time.Second)
	begin("renewed", dead, lease)
	begin("another's", alive, 20*time.Second)
	accepted, err := upload(ctx, s, original.Upload{Collection: c, Key: "taken from the queue", Size: 1})
	if err != nil {
		t.Fatal(err)
	}
	unclaimed := task.Ref{Tenant: tenant.Default, DocumentID: accepted.Document.ID, Version: 1, Kind: task.KindKnowledge}
	execute(t, d.owner, `UPDATE tasks SET dispatched_at = now() WHERE job = $1 AND kind = 'knowledge'`, accepted.Job.ID)
	reclaimed, more, err := s.ReclaimTasks(ctx, dead, left)
	if err != nil || more {
		t.Fatalf("more %t, %v", more, err)
	}
	want := []task.Dispatch{{Ref: lost.Ref, Round: 1}, {Ref: unclaimed, Round: 1}}
	if !slices.Equal(reclaimed, want) {
		t.Errorf("reclaimed %v, want %v: what was lost, and what the dead may have taken from the queue", reclaimed, want)
	}
	again, err := s.Claim(ctx, lost.Ref, lease)
	if err != nil || again.Crashes != 1 || again.Attempt != 2 {
		t.Errorf("claimed %+v, %v; want the second attempt after a crash", again, err)
	}
	if reclaimed, _, err := s.ReclaimTasks(ctx, dead, left); err != nil || !slices.Equal(reclaimed, []task.Dispatch{{Ref: unclaimed, Round: 2}}) {
		t.Errorf("reclaimed %v again, %v", reclaimed, err)
	}
}

// The lease of a reindex is of the process that has claimed it, also after a client has
// resumed the running reindex through another process.
func TestReclaimTakesReindexes(t *testing.T) {
	t.Parallel()
	d, s, ctx, c := withCollection(t, 2)
	begun, err := s.BeginReindex(ctx, document.ReindexRequest{Collection: c.Name, Force: true})
	if err != nil {
		t.Fatal(err)
	}
	ref := task.Ref{Tenant: tenant.Default, DocumentID: begun.ID, Version: 1, Kind: task.KindReindex}
	if _, err := s.Claim(ctx, ref, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	process := func() (id int64) {
		t.Helper()
		if err := s.InTenant(ctx, func(tx pgx.Tx) error {
			return tx.QueryRow(ctx, `SELECT process FROM reindexes`).Scan(&id)
		}); err != nil {
			t.Fatal(err)
		}
		return id
	}
	claimed := process()
	if _, err := d.open(t).ResumeReindex(ctx, begun.ID); err != nil {
		t.Fatal(err)
	}
	if now := process(); now != claimed {
		t.Errorf("resumed while it runs: it is leased to process %d, want %d", now, claimed)
	}
	if reclaimed, more, err := s.ReclaimTasks(ctx, claimed, 25*time.Second); err != nil || more || !slices.Equal(reclaimed, []task.Dispatch{{Ref: ref, Round: 1}}) {
		t.Errorf("reclaimed %v, more %t, %v; want the reindex", reclaimed, more, err)
	}
}

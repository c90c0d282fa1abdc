package fault_test

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/audit"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
)

// maxRecoveryDelay is the maximum delay of all accepted work, compared with a run without failures.
const maxRecoveryDelay = 20 * time.Second

// Workers are killed, suspended, and lose the connections that prove that they are alive, each when
// half of the work is done. Other workers soon claim the tasks of dead workers; live workers lose no
// tasks.
func TestRecoveryAfterProcessFailures(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t, sharedServers(t), fakeprovider.Options{Latency: 100 * time.Millisecond, TextsPerSecond: 60})
	m.start("api")
	workers := []*program.Program{m.start("worker-knowledge"), m.start("worker-knowledge"), m.start("worker-summary")}
	documents := ifShort(24, 48)

	// runWithFault returns the time to process some documents, and calls fault when half of their
	// passages have been sent.
	runWithFault := func(what string, fault func()) time.Duration {
		t.Helper()
		files := newFiles(m.random, documents)
		passages := countPassages(t, files)
		before := m.provider.Counts().TextsAnswered
		began := time.Now()
		m.uploadAll(files)
		await.Within(t, 3*time.Minute, what+": half of the passages are sent", func() bool { return m.provider.Counts().TextsAnswered-before >= passages/2 })
		fault()
		audit.AwaitIdle(t, m.direct, 3*time.Minute)
		took := time.Since(began)
		t.Logf("%s: %d documents, %d passages: done after %.1f s, %.1f ms for each passage", what, documents, passages, took.Seconds(), took.Seconds()*1000/float64(passages))
		return took
	}
	crashes := func() int { return m.direct.QueryInt(`SELECT coalesce(sum(crashes), 0)::integer FROM tasks`) }
	checkDelay := func(what string, took, undisturbed time.Duration) {
		t.Helper()
		if took > undisturbed+maxRecoveryDelay {
			t.Errorf("%s: done after %s, want at most %s more than the %s without failures", what, took, maxRecoveryDelay, undisturbed)
		}
	}

	undisturbed := runWithFault("undisturbed", func() {})
	took := runWithFault("suspended", func() {
		workers[0].Signal(syscall.SIGSTOP)
		<-time.After(12 * time.Second) // longer than it takes to detect a dead process
		workers[0].Signal(syscall.SIGCONT)
	})
	checkDelay("suspended", took, undisturbed)
	took = runWithFault("connections cut", func() {
		for range 3 {
			m.direct.Exec(`SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()
				AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
			<-time.After(2 * time.Second)
		}
	})
	checkDelay("connections cut", took, undisturbed)
	if n := crashes(); n > 0 {
		t.Errorf("%d crashes are counted, but no process has died", n)
	}
	for _, worker := range workers {
		if line := worker.LostLeaseLine(); line != "" {
			t.Errorf("a live worker lost a lease: %s", line)
		}
	}

	checkDelay("one killed", runWithFault("one killed", func() { workers[0].Kill() }), undisturbed)
	if crashes() == 0 {
		t.Error("no crash is counted: the killed worker had no task, so this test checks nothing")
	}
	workers[0] = m.start("worker-knowledge")
	checkDelay("all killed", runWithFault("all killed", func() {
		for _, worker := range append(slices.Clone(workers), m.api) {
			worker.Kill()
		}
		m.startAll()
	}), undisturbed)
	m.audit(time.Minute, 100*maxBatchPassages)
}

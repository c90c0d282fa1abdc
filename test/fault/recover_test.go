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

// maxRecoveryDelay is how much later than undisturbed all accepted work may be done.
const maxRecoveryDelay = 20 * time.Second

// Workers die, stop for a while, and lose the connections by which others see
// that they live, each when half of the work is done. What has died is made up
// for soon; nothing is taken from what has not.
func TestWorkIsDoneSoonAfterADeath(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t, sharedServers(t), fakeprovider.Options{Latency: 100 * time.Millisecond, TextsPerSecond: 60})
	m.start("api")
	workers := []*program.Program{m.start("worker-knowledge"), m.start("worker-knowledge"), m.start("worker-summary")}
	documents := ifShort(24, 48)

	// half returns how long it takes to do some documents, with what happens when
	// half of their passages have been sent.
	half := func(what string, happens func()) time.Duration {
		t.Helper()
		files := newFiles(m.random, documents)
		passages := countPassages(t, files)
		before := m.provider.Counts().TextsAnswered
		began := time.Now()
		m.uploadAll(files)
		await.Within(t, 3*time.Minute, what+": half is done", func() bool { return m.provider.Counts().TextsAnswered-before >= passages/2 })
		happens()
		audit.AwaitIdle(t, m.direct, 3*time.Minute)
		took := time.Since(began)
		t.Logf("%s: %d documents, %d passages: done after %.1f s, %.1f ms for each passage", what, documents, passages, took.Seconds(), took.Seconds()*1000/float64(passages))
		return took
	}
	crashes := func() int { return m.direct.QueryInt(`SELECT coalesce(sum(crashes), 0)::integer FROM tasks`) }
	soon := func(what string, took, undisturbed time.Duration) {
		t.Helper()
		if took > undisturbed+maxRecoveryDelay {
			t.Errorf("%s: done after %s, want at most %s after the %s that it takes undisturbed", what, took, maxRecoveryDelay, undisturbed)
		}
	}

	undisturbed := half("undisturbed", func() {})
	took := half("stopped for a while", func() {
		workers[0].Signal(syscall.SIGSTOP)
		<-time.After(12 * time.Second) // longer than it takes to see a death
		workers[0].Signal(syscall.SIGCONT)
	})
	soon("stopped for a while", took, undisturbed)
	took = half("connections cut", func() {
		for range 3 {
			m.direct.Exec(`SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()
				AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
			<-time.After(2 * time.Second)
		}
	})
	soon("connections cut", took, undisturbed)
	if n := crashes(); n > 0 {
		t.Errorf("%d crashes are counted, and nothing has died", n)
	}
	for _, worker := range workers {
		if line := worker.LostLeaseLine(); line != "" {
			t.Errorf("a worker that lives was told that a task is not its own: %s", line)
		}
	}

	soon("one killed", half("one killed", func() { workers[0].Kill() }), undisturbed)
	if crashes() == 0 {
		t.Error("no crash is counted: the worker was at nothing, and the test shows nothing")
	}
	workers[0] = m.start("worker-knowledge")
	soon("all killed", half("all killed", func() {
		for _, worker := range append(slices.Clone(workers), m.api) {
			worker.Kill()
		}
		m.startAll()
	}), undisturbed)
	m.audit(time.Minute, 100*maxBatchPassages)
}

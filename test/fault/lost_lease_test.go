package fault_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/audit"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
)

// sections make a document of several batches.
const sections = 250

// Two workers run the same task at the same time, because the lease of one ran
// out although it is at work. It is refused, and the document is whole.
func TestTwoWorkersRunOneTask(t *testing.T) {
	t.Parallel()
	m, first := newTestEnvMidTask(t)
	second := m.start("worker-knowledge")
	await.Within(t, 2*time.Minute, "the second worker has the task too", func() bool {
		// Again and again: the first one keeps renewing.
		m.direct.Exec(`UPDATE tasks SET lease_until = now() - interval '1 second' WHERE kind = 'knowledge' AND attempt = 1`)
		return m.attempt() == 2
	})
	m.gate.release()
	m.checkTakenOver(first, second)
}

// A worker that is stopped past its lease and then goes on has lost its task,
// and can write nothing of it any more.
func TestStoppedWorkerGoesOn(t *testing.T) {
	t.Parallel()
	m, first := newTestEnvMidTask(t)
	first.Signal(syscall.SIGSTOP)
	second := m.start("worker-knowledge")
	await.Within(t, 2*time.Minute, "the second worker has the task", func() bool { return m.attempt() == 2 })
	m.gate.release()
	audit.AwaitIdle(t, m.direct, time.Minute)
	first.Signal(syscall.SIGCONT)
	m.checkTakenOver(first, second)
}

// newTestEnvMidTask returns an installation whose only worker is in the middle of
// its only document, and waits for the provider.
func newTestEnvMidTask(t *testing.T) (*testEnv, *program.Program) {
	t.Helper()
	m := newTestEnv(t, sharedServers(t), fakeprovider.Options{})
	m.gate.holdEmbeddings()
	m.start("api")
	m.start("worker-summary")
	worker := m.start("worker-knowledge")
	if err := m.upload(newFile(m.random, "contested.md", sections, 2)); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "the worker waits for the provider", func() bool { return m.gate.heldEmbeddings() > 1 })
	return m, worker
}

// attempt is at which attempt the only document is.
func (m *testEnv) attempt() int {
	m.t.Helper()
	return m.direct.QueryInt(`SELECT attempt FROM tasks WHERE kind = 'knowledge'`)
}

// checkTakenOver checks that the second worker took the task from the first,
// which was told so, and that the document is as if there had been only one.
func (m *testEnv) checkTakenOver(first, second *program.Program) {
	m.t.Helper()
	await.Within(m.t, time.Minute, "the first worker is refused", func() bool { return first.LostLeaseLine() != "" })
	if line := second.LostLeaseLine(); line != "" {
		m.t.Errorf("the second worker was refused too: %s", line)
	}
	m.audit(time.Minute, sections)
	if n := strings.Count(first.Output()+second.Output(), "document is searchable"); n != 1 {
		m.t.Errorf("%d workers made the document searchable, want 1", n)
	}
}

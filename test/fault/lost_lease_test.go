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

// sections is the number of sections of a document that needs several batches.
const sections = 250

// Two workers run the same task at the same time, because the lease of the first expired while it
// was running. The store refuses the first worker's writes, and the document is complete.
func TestTwoWorkersRunOneTask(t *testing.T) {
	t.Parallel()
	m, first := newTestEnvMidTask(t)
	second := m.start("worker-knowledge")
	await.Within(t, 2*time.Minute, "the second worker has claimed the task too", func() bool {
		// Repeats the update, because the first worker keeps renewing its lease.
		m.direct.Exec(`UPDATE tasks SET lease_until = now() - interval '1 second' WHERE kind = 'knowledge' AND attempt = 1`)
		return m.attempt() == 2
	})
	m.gate.release()
	m.checkTakenOver(first, second)
}

// A worker that is suspended past the end of its lease and then resumes has lost its task, and can
// write nothing for it any more.
func TestSuspendedWorkerResumes(t *testing.T) {
	t.Parallel()
	m, first := newTestEnvMidTask(t)
	first.Signal(syscall.SIGSTOP)
	second := m.start("worker-knowledge")
	await.Within(t, 2*time.Minute, "the second worker has claimed the task", func() bool { return m.attempt() == 2 })
	m.gate.release()
	audit.AwaitIdle(t, m.direct, time.Minute)
	first.Signal(syscall.SIGCONT)
	m.checkTakenOver(first, second)
}

// newTestEnvMidTask returns an environment whose only knowledge worker is in the middle of its only
// document and waits for the provider.
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

// attempt returns the attempt number of the only document's task.
func (m *testEnv) attempt() int {
	m.t.Helper()
	return m.direct.QueryInt(`SELECT attempt FROM tasks WHERE kind = 'knowledge'`)
}

// checkTakenOver checks that the first worker noticed that it lost its lease to the second, and
// that the document is the same as if only one worker had run.
func (m *testEnv) checkTakenOver(first, second *program.Program) {
	m.t.Helper()
	await.Within(m.t, time.Minute, "the first worker logs that it lost its lease", func() bool { return first.LostLeaseLine() != "" })
	if line := second.LostLeaseLine(); line != "" {
		m.t.Errorf("the second worker lost its lease too: %s", line)
	}
	m.audit(time.Minute, sections)
	if n := strings.Count(first.Output()+second.Output(), "document is searchable"); n != 1 {
		m.t.Errorf("the document was published %d times, want 1", n)
	}
}

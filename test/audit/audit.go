package audit

import (
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/test/await"
	"github.com/seed-7a112592/gristmill/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/test/program"
)

// Audit says what to look at: a site whose API runs and whose servers answer.
type Audit struct {
	Site     *program.Site  // reached without anything in between
	Client   *client.Client // of its API
	Books    *Books
	Provider *fakeprovider.Provider // with RecordTexts; nil if there is none

	// Allowance is how many passages may have been sent to the provider in
	// vain, beside one in twenty of those that were needed. Questions are texts
	// that were sent for searches, and are not counted.
	Allowance int
	Questions []string
}

// Run waits until every job and reindex has ended, for as long as limit, sweeps
// without the quiet times that a sweep keeps, and fails the test for every
// promise that it finds broken. It logs what it has looked at. Afterwards no
// reindex can be reverted any more.
func (a Audit) Run(t testing.TB, limit time.Duration) {
	t.Helper()
	AwaitEnd(t, a.Site, limit)
	a.checkJobs(t)
	if a.Provider != nil {
		a.checkSpending(t) // before passages go that were needed once
	}
	Sweep(t, a.Site)
	a.Books.check(t, a.Client)
	a.checkRows(t)
	a.checkCuts(t)
	a.checkStored(t)
}

// AwaitEnd waits until every task and every reindex of a site has ended.
func AwaitEnd(t testing.TB, s *program.Site, limit time.Duration) {
	t.Helper()
	await.Within(t, limit, "every job and reindex has ended", func() bool {
		return s.Count(`SELECT (SELECT count(*) FROM tasks WHERE state IN ('queued', 'running', 'waiting'))
		                     + (SELECT count(*) FROM reindexes WHERE state IN ('queued', 'running', 'waiting'))`) == 0
	})
}

// checkJobs checks that no job has ended without a reason for not succeeding.
func (a Audit) checkJobs(t testing.TB) {
	t.Helper()
	states := map[document.JobState]int{}
	for _, job := range Jobs(t, a.Client) {
		states[job.State]++
		reasons := job.Error + job.Tasks.Knowledge.Error + job.Tasks.Summary.Error
		switch {
		case !job.State.Ended():
			t.Errorf("job %s is %s, and all its tasks have ended", job.ID, job.State)
		case job.State != document.Succeeded && reasons == "":
			t.Errorf("job %s is %s for no reason", job.ID, job.State)
		}
	}
	t.Logf("audit: jobs %v", states)
}

package audit

import (
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Audit says what to look at: a site whose API runs and whose servers answer.
type Audit struct {
	Site     *program.Installation // reached without anything in between
	Client   *client.Client        // of its API
	Uploads  *UploadLog
	Provider *fakeprovider.Provider // with RecordTexts; nil if there is none

	// MaxWasted is how many passages may have been sent to the provider in
	// vain, beside one in twenty of those that were needed. Questions are texts
	// that were sent for searches, and are not counted.
	MaxWasted int
	Queries   []string
}

// Run waits until every job and reindex has ended, for as long as limit, sweeps
// without the quiet times that a sweep keeps, and fails the test for every
// promise that it finds broken. It logs what it has looked at. Afterwards no
// reindex can be reverted any more.
func (a Audit) Run(t testing.TB, limit time.Duration) {
	t.Helper()
	AwaitIdle(t, a.Site, limit)
	a.checkJobs(t)
	if a.Provider != nil {
		a.checkUsage(t) // before passages go that were needed once
	}
	CollectGarbage(t, a.Site)
	a.Uploads.checkDocuments(t, a.Client)
	a.checkInvariants(t)
	a.checkChunking(t)
	a.checkVerify(t)
}

// AwaitIdle waits until every task and every reindex of a site has ended.
func AwaitIdle(t testing.TB, s *program.Installation, limit time.Duration) {
	t.Helper()
	await.Within(t, limit, "every job and reindex has ended", func() bool {
		return s.QueryInt(`SELECT (SELECT count(*) FROM tasks WHERE state IN ('queued', 'running', 'waiting'))
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
		case job.State != document.JobSucceeded && reasons == "":
			t.Errorf("job %s is %s for no reason", job.ID, job.State)
		}
	}
	t.Logf("audit: jobs %v", states)
}

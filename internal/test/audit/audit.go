// Package audit checks that an installation keeps its promises, through its API and by reading its
// servers directly, after any fault that a test has caused.
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

// Audit describes the installation to check. Its API must be running and its servers must answer.
type Audit struct {
	Installation *program.Installation // direct addresses, without a proxy
	Client       *client.Client        // client of its API
	Uploads      *UploadLog
	Provider     *fakeprovider.Provider // with RecordTexts; nil if there is none

	// MaxWasted is the number of passages that the provider may have embedded without need, in
	// addition to 5 % of the needed ones. Queries are the texts of searches, which are not counted.
	MaxWasted int
	Queries   []string
}

// Run waits up to limit until every job and reindex has ended, and collects garbage without the
// usual waiting times. It fails the test for every broken promise, and logs what it has checked.
// Afterwards no reindex can be reverted.
func (a Audit) Run(t testing.TB, limit time.Duration) {
	t.Helper()
	AwaitIdle(t, a.Installation, limit)
	a.checkJobs(t)
	if a.Provider != nil {
		a.checkUsage(t) // before unreferenced passages are deleted, which were needed earlier
	}
	CollectGarbage(t, a.Installation)
	a.Uploads.checkDocuments(t, a.Client)
	a.checkInvariants(t)
	a.checkChunking(t)
	a.checkVerify(t)
}

// AwaitIdle waits until every task and every reindex of the installation has ended.
func AwaitIdle(t testing.TB, s *program.Installation, limit time.Duration) {
	t.Helper()
	await.Within(t, limit, "every job and reindex has ended", func() bool {
		return s.QueryInt(`SELECT (SELECT count(*) FROM tasks WHERE state IN ('queued', 'running', 'waiting'))
		                     + (SELECT count(*) FROM reindexes WHERE state IN ('queued', 'running', 'waiting'))`) == 0
	})
}

// checkJobs checks that every job that did not succeed has a reason.
func (a Audit) checkJobs(t testing.TB) {
	t.Helper()
	states := map[document.JobState]int{}
	for _, job := range Jobs(t, a.Client) {
		states[job.State]++
		reasons := job.Error + job.Tasks.Knowledge.Error + job.Tasks.Summary.Error
		switch {
		case !job.State.Ended():
			t.Errorf("job %s is %s, but all its tasks have ended", job.ID, job.State)
		case job.State != document.JobSucceeded && reasons == "":
			t.Errorf("job %s is %s without a reason", job.ID, job.State)
		}
	}
	t.Logf("audit: jobs %v", states)
}

package lifecycle

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// RequeueCandidate is a document that a reindex that changes nothing considers.
type RequeueCandidate struct {
	DocumentID      uuid.UUID
	Newest          int
	Published       int               // 0 for none
	HasSpaceVersion bool              // the published version has a space version in the active space
	Complete        bool              // and all of its manifest entries and passages exist
	LeftOut         bool              // the document was left out of the active space
	HasActiveJob    bool              // the newest version has an unended job whose knowledge task has not failed
	RequeuedJob     document.JobState // state of the newest version's job if the reindex made it; otherwise empty
}

// ShouldRequeue reports whether the reindex adds a version to the document, with the same original. A
// document that has got one from this reindex gets another only if the job of that one did not
// succeed.
func (r Reindex) ShouldRequeue(d RequeueCandidate) bool {
	switch {
	case d.HasActiveJob:
		return false
	case d.RequeuedJob != "":
		return d.RequeuedJob != document.JobSucceeded
	default:
		return r.Force || d.Published != d.Newest || !d.Complete || d.LeftOut
	}
}

// EndRequeue ends a reindex that changes nothing. The caller has checked that all its jobs have ended.
func (r Reindex) EndRequeue(now time.Time) Reindex {
	p := &r.Progress
	p.Documents, p.Bytes = p.DocumentsDone, p.BytesDone
	if r.FailedJobs == 0 {
		return r.succeed(document.StageDone, now)
	}
	r.Task = r.Task.end(document.JobFailed, fmt.Sprintf("%d of %d documents could not be reindexed: see the errors of their jobs", r.FailedJobs, p.DocumentsDone))
	r.FinishedAt = now
	return r
}

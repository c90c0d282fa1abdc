package lifecycle

import (
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Document holds the columns of a document that decisions depend on. The zero value is a document
// that does not exist yet.
type Document struct {
	ID        uuid.UUID
	State     document.DocumentState
	Newest    int // the newest version
	Published int // the published version; 0 for none
	Deleted   bool
}

// NextVersion adds a version to the document. The caller must add the version obsolete to the garbage
// list: it was the newest version and was never published. It is 0 if there is none.
func (d Document) NextVersion() (next Document, obsolete int) {
	if d.Newest != d.Published {
		obsolete = d.Newest
	}
	d.Newest++
	if d.Published == 0 {
		d.State = document.DocumentPending
	}
	return d, obsolete
}

// NewestVersion describes the newest version of the document that has the key of an upload.
type NewestVersion struct {
	Document
	SHA256      string            // hash of the original; empty if there is no document
	SameContent bool              // the upload has the same original, title, metadata and media type
	Job         document.JobState // state of the version's job
}

// Accept decides whether an upload adds a version. It does not (unchanged is true) if the newest
// version has the same content and its job has not failed and is not cancelled. It returns
// fault.PreconditionFailed if the condition of the upload does not hold.
func (n NewestVersion) Accept(condition document.Condition) (unchanged bool, err error) {
	if err := CheckCondition(condition, n.SHA256); err != nil {
		return false, err
	}
	return n.SameContent && n.Job != document.JobFailed && n.Job != document.JobCancelled, nil
}

// NeedsVersion reports whether readers or a retry may need the version: whether it is not obsolete.
func (d Document) NeedsVersion(version int) bool {
	return !d.Deleted && (version == d.Newest || version == d.Published)
}

// CollectVersion decides whether garbage collection may delete a version. job is the state of the
// version's job and finishedAt the time of its end; job is empty if the job no longer exists.
//
// If needed is true, the version is not obsolete, and the caller deletes the entry of the garbage
// list: the transaction that makes the version obsolete adds a new entry. If until is not zero, the
// caller postpones the entry to that time, so that clients that follow the job see its end; the time
// counts as reached if it is at most ahead away. Otherwise the caller deletes the version. It returns
// fault.Conflict if the job has not ended.
func (d Document) CollectVersion(version int, job document.JobState, finishedAt time.Time, ahead time.Duration, now time.Time) (needed bool, until time.Time, err error) {
	switch end := finishedAt.Add(garbage.JobRetention); {
	case d.NeedsVersion(version):
		return true, until, nil
	case job != "" && !job.Ended():
		return false, until, fault.New(fault.Conflict, "its job has not ended")
	case job != "" && !d.Deleted && end.After(now.Add(ahead)):
		return false, end, nil
	default:
		return false, until, nil
	}
}

package lifecycle

import (
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Document is a row of documents, as far as it decides. The zero value is a document
// that is not there yet.
type Document struct {
	ID        uuid.UUID
	State     document.DocumentState
	Newest    int // version that was uploaded last
	Published int // version that readers see; 0 for none
	Deleted   bool
}

// NextVersion gives the document another version. Obsolete is the version that is
// listed as garbage, since nobody has come to see it; 0 for none.
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

// NewestVersion is what an upload finds under its key.
type NewestVersion struct {
	Document
	SHA256      string            // of the newest version; empty where there is no document
	SameContent bool              // it has the original and the settings of the upload
	Job         document.JobState // of the job that made it
}

// Accept decides whether an upload makes a version. Unchanged says that it does not:
// the newest version is the same, and has not come to nothing.
func (n NewestVersion) Accept(condition document.Condition) (unchanged bool, err error) {
	if err := CheckCondition(condition, n.SHA256); err != nil {
		return false, err
	}
	return n.SameContent && n.Job != document.JobFailed && n.Job != document.JobCancelled, nil
}

// NeedsVersion reports whether readers, or a retry, may need a version.
func (d Document) NeedsVersion(version int) bool {
	return !d.Deleted && (version == d.Newest || version == d.Published)
}

// CollectVersion decides whether a version that is listed as garbage may be removed.
// The entry of one that is needed is dropped: whatever supersedes it lists it again.
// Until is a later time at which it may be removed: followers of its job have seen the
// end by then. The job's state is empty where there is no job any more.
func (d Document) CollectVersion(version int, job document.JobState, finished time.Time, ahead time.Duration, now time.Time) (needed bool, until time.Time, err error) {
	switch end := finished.Add(garbage.JobRetention); {
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

package document

import (
	"fmt"
	"time"

	"github.com/google/uuid"
)

// JobState is where a job or one of its tasks stands.
type JobState string

const (
	JobQueued    JobState = "queued"    // not begun
	JobRunning   JobState = "running"   // a worker holds its lease
	JobWaiting   JobState = "waiting"   // to be tried again at NextAttemptAt
	JobSucceeded JobState = "succeeded" // done
	JobFailed    JobState = "failed"    // given up; Error says why
	JobCancelled JobState = "cancelled" // no longer wanted; Error says why

	JobPaused JobState = "paused" // of a reindex only: until it is resumed
)

// JobStates lists every state, in the order a job may pass through them.
var JobStates = []JobState{JobQueued, JobRunning, JobWaiting, JobSucceeded, JobFailed, JobCancelled}

// Ended reports whether the state is final.
func (s JobState) Ended() bool {
	return s == JobSucceeded || s == JobFailed || s == JobCancelled
}

// TaskKind is a kind of work that has a queue of its own: a step that a job
// puts its document through, or a reindex.
type TaskKind string

const (
	KindKnowledge TaskKind = "knowledge" // chunk, embed, write, switch
	KindSummary   TaskKind = "summary"   // summarise sections, then the document
	KindReindex   TaskKind = "reindex"   // no part of a job: a whole reindex
)

// JobTaskKinds lists the tasks of every job.
var JobTaskKinds = []TaskKind{KindKnowledge, KindSummary}

// AllTaskKinds lists every kind of work.
var AllTaskKinds = []TaskKind{KindKnowledge, KindSummary, KindReindex}

// JobFilter narrows a list of jobs; zero fields do not narrow.
type JobFilter struct {
	State      JobState
	Collection string
	DocumentID uuid.UUID
}

// Job makes one version of one document searchable and summarised.
type Job struct {
	ID            uuid.UUID  `json:"id"`
	DocumentID    uuid.UUID  `json:"document_id"`
	Collection    string     `json:"collection"`
	Version       int        `json:"version"`
	State         JobState   `json:"state"`
	Tasks         Tasks      `json:"tasks"`
	Warnings      Warnings   `json:"warnings"` // of its version
	Error         string     `json:"error,omitempty"`
	NextAttemptAt *time.Time `json:"next_attempt_at,omitempty"`
	CreatedAt     time.Time  `json:"created_at"`
	StartedAt     *time.Time `json:"started_at,omitempty"`
	FinishedAt    *time.Time `json:"finished_at,omitempty"`
}

// Tasks are the parts of a job.
type Tasks struct {
	Knowledge KnowledgeTask `json:"knowledge"`
	Summary   SummaryTask   `json:"summary"`
}

// Task is what every part of a job has.
type Task struct {
	State         JobState   `json:"state"`
	Attempt       int        `json:"attempt"`
	Error         string     `json:"error,omitempty"`
	NextAttemptAt *time.Time `json:"next_attempt_at,omitempty"`
}

// KnowledgeTask is the state of the knowledge step.
type KnowledgeTask struct {
	Task
	KnowledgeProgress
}

// KnowledgeProgress counts what the knowledge step has done. Passages is
// Embedded and Reused together.
type KnowledgeProgress struct {
	Stage      string `json:"stage,omitempty"` // streaming, publishing, done
	BytesDone  int64  `json:"bytes_done"`
	BytesTotal int64  `json:"bytes_total"`
	Passages   int64  `json:"passages"`
	Embedded   int64  `json:"embedded"`
	Reused     int64  `json:"reused"`
}

// SummaryTask is the state of the summary step.
type SummaryTask struct {
	Task
	SummaryProgress
}

// SummaryProgress counts the sections that the summary step has met and done.
type SummaryProgress struct {
	Sections       int64 `json:"sections"`
	SectionsDone   int64 `json:"sections_done"`
	SectionsReused int64 `json:"sections_reused"`

	// SectionsRefused counts those that the model does not take even cut, or
	// only a part of: their summaries are extracts, or of that part.
	SectionsRefused int64 `json:"sections_refused,omitempty"`
}

// TaskRef names a task, and is all that the queue carries of it. What is to be
// done stands in the database. Of a reindex, Document is its id and Version 1.
type TaskRef struct {
	Tenant     string    `json:"tenant"`
	DocumentID uuid.UUID `json:"document"`
	Version    int       `json:"version"`
	Kind       TaskKind  `json:"-"`
}

// String names the task; equal references have equal names.
func (r TaskRef) String() string {
	return fmt.Sprintf("%s:%s:%d", r.Kind, r.DocumentID, r.Version)
}

// Dispatch is one entry of the queue for a task. Round is how often the task
// has been claimed, or retried on request: the entry of a worker that died,
// which the queue gives back only after minutes, is of an earlier round and so
// not in the way of the next one.
type Dispatch struct {
	TaskRef
	Round int
}

// String names the entry; equal ones have equal names, which is what makes
// enqueueing twice harmless.
func (d Dispatch) String() string {
	return fmt.Sprintf("%s:%d", d.TaskRef, d.Round)
}

// Work is a task that a worker has claimed. Lease fences every write: once
// another worker has claimed the task, writes under the old lease are refused
// with fault.LeaseLost.
type Work struct {
	TaskRef
	JobID            uuid.UUID
	Lease            uuid.UUID
	Attempt          int // 1 for the first
	Crashes          int // how many of the attempts before it lost their worker
	Collection       string
	Key              string
	Title            string // its own; see OwnTitle
	MediaType        string
	Object           string
	Size             int64
	SHA256           string // of the original, lower-case hex
	Space            Space  // the live one, or the one that a reindex builds
	SpaceReplaceable bool   // the live space is: see Collection

	Summaries        SummaryMode // of the collection
	SummaryRequested bool        // somebody has asked for the summary

	// OtherSpaces are the spaces besides that are kept complete with what is uploaded:
	// those that are being built, and those that can be switched back to.
	OtherSpaces []Space
}

// Original returns what the original of the work's version must be.
func (w Work) Original() Original {
	return Original{Object: w.Object, Size: w.Size, SHA256: w.SHA256}
}

// Verdict is what becomes of a task whose step returned an error.
type Verdict string

const (
	VerdictFail   Verdict = "fail"   // give up; the error is shown
	VerdictRetry  Verdict = "retry"  // try again; uses up an attempt
	VerdictWait   Verdict = "wait"   // a dependency is down or busy; uses up none
	VerdictCancel Verdict = "cancel" // a newer version made it pointless
)

// Outcome is what became of a task, decided in one place from its error. A
// task that is done has none: its step wrote its own end together with its
// result.
type Outcome struct {
	Verdict Verdict
	Error   string        // for people
	Delay   time.Duration // until the next attempt, for retry and wait
}

// CombineStates returns the state of a job from those of its tasks: running
// while any part still moves, final once all parts are, and failed if one of
// them is.
func CombineStates(tasks ...JobState) JobState {
	count := map[JobState]int{}
	ended := 0
	for _, s := range tasks {
		count[s]++
		if s.Ended() {
			ended++
		}
	}
	switch {
	case count[JobSucceeded] == len(tasks):
		return JobSucceeded
	case ended == len(tasks) && count[JobFailed] > 0:
		return JobFailed
	case ended == len(tasks):
		return JobCancelled
	case count[JobRunning] > 0:
		return JobRunning
	case count[JobWaiting] > 0:
		return JobWaiting
	case ended > 0:
		return JobRunning
	default:
		return JobQueued
	}
}

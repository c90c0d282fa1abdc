package document

import (
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

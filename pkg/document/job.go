package document

import (
	"time"

	"github.com/google/uuid"
)

// JobState is the state of a job, of one of its tasks, or of a reindex.
type JobState string

const (
	JobQueued    JobState = "queued"    // not started
	JobRunning   JobState = "running"   // a worker holds its lease
	JobWaiting   JobState = "waiting"   // will be tried again at NextAttemptAt
	JobSucceeded JobState = "succeeded" // done
	JobFailed    JobState = "failed"    // given up; Error says why
	JobCancelled JobState = "cancelled" // no longer wanted; Error says why

	JobPaused JobState = "paused" // reindexes only: stopped until it is resumed
)

// JobStates lists the states of a job, in the order in which it may pass through them. JobPaused is
// not one of them.
var JobStates = []JobState{JobQueued, JobRunning, JobWaiting, JobSucceeded, JobFailed, JobCancelled}

// Ended reports whether the state is final.
func (s JobState) Ended() bool {
	return s == JobSucceeded || s == JobFailed || s == JobCancelled
}

// JobFilter narrows a list of jobs. Zero fields do not narrow it.
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
	Warnings      Warnings   `json:"warnings"` // of the version
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

// Task has the fields that every task has.
type Task struct {
	State         JobState   `json:"state"`
	Attempt       int        `json:"attempt"`
	Error         string     `json:"error,omitempty"`
	NextAttemptAt *time.Time `json:"next_attempt_at,omitempty"`
}

// KnowledgeTask is the task that splits, embeds and publishes a version.
type KnowledgeTask struct {
	Task
	KnowledgeProgress
}

// KnowledgeProgress counts what the knowledge task has done.
type KnowledgeProgress struct {
	Stage      string `json:"stage,omitempty"` // streaming or done; empty before it starts
	BytesDone  int64  `json:"bytes_done"`      // of the original
	BytesTotal int64  `json:"bytes_total"`
	Passages   int64  `json:"passages"` // Embedded and Reused together
	Embedded   int64  `json:"embedded"`
	Reused     int64  `json:"reused"`
}

// SummaryTask is the task that summarises a version.
type SummaryTask struct {
	Task
	SummaryProgress
}

// SummaryProgress counts the sections that the summary task has found and summarised.
type SummaryProgress struct {
	Sections       int64 `json:"sections"`
	SectionsDone   int64 `json:"sections_done"`
	SectionsReused int64 `json:"sections_reused"`

	// SectionsRefused counts sections that the model accepts only in part or not at all. Their
	// summaries are summaries of the part that it accepts, or extracts of the text.
	SectionsRefused int64 `json:"sections_refused,omitempty"`
}

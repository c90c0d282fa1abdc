// Package task holds the units of work that workers take under a lease: the tasks of jobs,
// reindexes and deliveries to webhooks, and their outcomes.
package task

import (
	"fmt"

	"github.com/google/uuid"
)

// Backlog is the amount of a tenant's unfinished work.
type Backlog struct {
	Jobs  int64
	Bytes int64 // total size of the jobs' originals
}

// Kind is a kind of work that has its own queue: a step of a job, or a reindex.
type Kind string

const (
	KindKnowledge Kind = "knowledge" // split, embed, write, publish
	KindSummary   Kind = "summary"   // summarise the sections, then the document
	KindReindex   Kind = "reindex"   // a whole reindex; belongs to no job
)

// JobKinds lists the tasks that every job has.
var JobKinds = []Kind{KindKnowledge, KindSummary}

// Kinds lists every kind of work.
var Kinds = []Kind{KindKnowledge, KindSummary, KindReindex}

// Ref identifies a task. It is all that the queue holds about the task; the database holds the
// rest. For a reindex, DocumentID holds the reindex's id and Version is 1.
type Ref struct {
	Tenant     string    `json:"tenant"`
	DocumentID uuid.UUID `json:"document"`
	Version    int       `json:"version"`
	Kind       Kind      `json:"-"`
}

// String returns the name of the task. Equal references have equal names.
func (r Ref) String() string {
	return fmt.Sprintf("%s:%s:%d", r.Kind, r.DocumentID, r.Version)
}

// Dispatch is one queue entry for a task. Round counts how often the task has been claimed or
// retried on request. The queue returns the entry of a dead worker only after minutes; that
// entry has an earlier round, so it does not block a new one.
type Dispatch struct {
	Ref
	Round int
}

// String returns the name of the entry. Equal entries have equal names, so enqueueing an entry
// twice is harmless.
func (d Dispatch) String() string {
	return fmt.Sprintf("%s:%d", d.Ref, d.Round)
}

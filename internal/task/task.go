// Package task holds the units of work that workers take under a lease: the tasks
// of jobs, reindexes, and the deliveries to webhooks; and what becomes of them.
package task

import (
	"fmt"

	"github.com/google/uuid"
)

// Backlog is how much of a tenant's work has not ended.
type Backlog struct {
	Jobs  int64
	Bytes int64 // of the jobs' originals
}

// Kind is a kind of work that has a queue of its own: a step that a job
// puts its document through, or a reindex.
type Kind string

const (
	KindKnowledge Kind = "knowledge" // chunk, embed, write, switch
	KindSummary   Kind = "summary"   // summarise sections, then the document
	KindReindex   Kind = "reindex"   // no part of a job: a whole reindex
)

// JobKinds lists the tasks of every job.
var JobKinds = []Kind{KindKnowledge, KindSummary}

// Kinds lists every kind of work.
var Kinds = []Kind{KindKnowledge, KindSummary, KindReindex}

// Ref names a task, and is all that the queue carries of it. What is to be
// done stands in the database. Of a reindex, Document is its id and Version 1.
type Ref struct {
	Tenant     string    `json:"tenant"`
	DocumentID uuid.UUID `json:"document"`
	Version    int       `json:"version"`
	Kind       Kind      `json:"-"`
}

// String names the task; equal references have equal names.
func (r Ref) String() string {
	return fmt.Sprintf("%s:%s:%d", r.Kind, r.DocumentID, r.Version)
}

// Dispatch is one entry of the queue for a task. Round is how often the task
// has been claimed, or retried on request: the entry of a worker that died,
// which the queue gives back only after minutes, is of an earlier round and so
// not in the way of the next one.
type Dispatch struct {
	Ref
	Round int
}

// String names the entry; equal ones have equal names, which is what makes
// enqueueing twice harmless.
func (d Dispatch) String() string {
	return fmt.Sprintf("%s:%d", d.Ref, d.Round)
}

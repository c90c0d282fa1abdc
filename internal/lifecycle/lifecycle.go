// Package lifecycle decides what may happen to tasks, jobs, documents, reindexes
// and spaces. It is pure: a function takes the state that a store has loaded and
// the time, and returns the next state, or the error with its text.
//
// A store works in four steps, in one transaction: load the state for update, call
// one function, save what differs, commit. [JobChange] and [SpaceChange] say what
// differs. Locks, visibility, lists and statements that change many rows are the
// store's. Times are the store's too: PostgreSQL passes the clock of the server, as
// it was when the lock was held.
//
// A zero time or id means none, and is NULL in a row.
package lifecycle

import (
	"strings"
	"time"
)

// Lists of states for statements, as the partial indexes of both stores have them.
const (
	UnendedStates = `('queued', 'running', 'waiting')`           // of a task or job
	ActiveStates  = `('queued', 'running', 'waiting', 'paused')` // of a reindex that keeps others out
)

const (
	// FailedSpaceRetention is how long the space is kept that a reindex was building when it
	// failed: until then its vectors are not bought again.
	FailedSpaceRetention = 24 * time.Hour

	// ReplacedSpaceRetention is how long an empty space is kept that another has replaced.
	// Tasks that have claimed it may still write to it; nothing of that is published.
	ReplacedSpaceRetention = 10 * time.Minute

	// RepublishDelay is the delay before a version is published again that could not be
	// published because another space has become the active one.
	RepublishDelay = time.Second
)

// Reasons of tasks that are cancelled.
const (
	ReasonOnRequest       = "cancelled on request"
	ReasonDocumentDeleted = "document deleted"
)

// storable returns a text for people in a form that every database takes.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// Package lifecycle decides what may happen to tasks, jobs, documents, reindexes and spaces. Its
// functions are pure: each takes a state that a store has loaded, an event and the time, and
// returns the next state, or an error with the text that users read.
//
// A store does four things in one transaction: it locks and loads the state, calls one function,
// saves what differs, and commits. [DiffJob] and [DiffSpaces] return what differs. Statements,
// locks, visibility, lists and changes of many rows at a time belong to the store. The store also
// supplies the time: PostgreSQL passes the server's clock, read after the lock was acquired.
//
// The zero time and the zero id mean that there is none. A store saves them as NULL.
package lifecycle

import (
	"strings"
	"time"
)

// Lists of states for SQL statements. The partial indexes of both stores have the same lists, so a
// statement must contain them byte for byte.
const (
	UnendedStates = `('queued', 'running', 'waiting')`           // tasks and jobs that have not ended
	ActiveStates  = `('queued', 'running', 'waiting', 'paused')` // reindexes that exclude other reindexes
)

const (
	// FailedSpaceRetention is how long the space of a failed reindex is kept. A reindex that is
	// resumed or begun within that time does not pay for the vectors again.
	FailedSpaceRetention = 24 * time.Hour

	// ReplacedSpaceRetention is how long an empty space is kept after another space has replaced
	// it. Tasks that were claimed before may still write to it, but cannot publish in it.
	ReplacedSpaceRetention = 10 * time.Minute

	// RepublishDelay is the delay before the next attempt at a version that could not be published
	// because another space has become the active space.
	RepublishDelay = time.Second
)

// Reasons for cancelling tasks. They are stored as the task's error.
const (
	ReasonOnRequest       = "cancelled on request"
	ReasonDocumentDeleted = "document deleted"
)

// Storable replaces what a database cannot store in a text: NUL and bytes that are not UTF-8.
func Storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// Package fault names the kinds of failure that cross a package border. A failure without a kind is
// internal: its full text is logged and never shown to a client.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what went wrong, in terms of what its reader can do about it. Its text is the stable
// code of the HTTP contract where the contract has one.
type Kind string

const (
	// Internal is any failure without a kind: a defect, or an unforeseen failure of a dependency.
	// It may be retried.
	Internal Kind = "internal"

	// The kinds below say that a request or a document is wrong. A retry without a change is
	// pointless.
	BadRequest           Kind = "bad_request"
	Unauthenticated      Kind = "unauthenticated"
	Forbidden            Kind = "forbidden"
	NotFound             Kind = "not_found"
	Conflict             Kind = "conflict"
	PreconditionFailed   Kind = "precondition_failed" // a condition such as If-Match does not hold
	RequestTimeout       Kind = "request_timeout"     // the client sends the body too slowly
	TooLarge             Kind = "too_large"
	UnsupportedMediaType Kind = "unsupported_media_type"
	InvalidEncoding      Kind = "invalid_encoding"
	EmptyDocument        Kind = "empty_document"
	InvalidMetadata      Kind = "invalid_metadata"

	// BadResponse says that a dependency answered, but with a wrong answer: for example, a model
	// returned the wrong number of vectors. Another request would pay for the same wrong answer.
	BadResponse Kind = "bad_answer"

	// InterruptedResponse says that a dependency accepted a request and broke off its answer. A
	// retry may help, but each one may be paid for, so it uses up an attempt.
	InterruptedResponse Kind = "broken_answer"

	// InputRejected says that a model does not accept the texts that it was sent. The form of the
	// request and the state of the model are not the cause. Sending the same texts again is
	// pointless; fewer or shorter texts may be accepted. InputTooLong is the same where the
	// provider names the length as the cause.
	InputRejected Kind = "refused"
	InputTooLong  Kind = "too_long"

	// Misconfigured says that a dependency cannot be used as it is configured: a wrong key, an
	// unknown model, an address that is not a provider's. The detail says what to set. Work waits
	// until an operator has set it.
	Misconfigured Kind = "misconfigured"

	// Damaged says that an object in object storage is not the original that was uploaded. Reading
	// it again is pointless; uploading the same bytes restores it.
	Damaged Kind = "damaged"

	// RateLimited and Unavailable say that a dependency asks for a wait.
	RateLimited Kind = "rate_limited"
	Unavailable Kind = "unavailable"

	// LeaseLost says that another worker has taken over the task. The worker that gets this error
	// must stop and write nothing.
	LeaseLost Kind = "lease_lost"
)

// Error is a failure with a kind. Detail is written for people: it says what happened to what, and
// is shown to clients. Err is the cause, and is only logged.
type Error struct {
	Kind       Kind
	Detail     string
	Offset     *int64        // byte offset of the invalid input, if known
	RetryAfter time.Duration // wait that the dependency asked for, if any
	Err        error
}

// Error implements error.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Detail
	}
	return fmt.Sprintf("%s: %v", e.Detail, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New returns a failure of the given kind. The detail is written for people.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}

// Wrap returns a failure of the given kind caused by err.
func Wrap(kind Kind, err error, format string, args ...any) *Error {
	return &Error{Kind: kind, Detail: fmt.Sprintf(format, args...), Err: err}
}

// WithOffset returns a copy of e with a byte offset of the input.
func (e *Error) WithOffset(offset int64) *Error {
	c := *e
	c.Offset = &offset
	return &c
}

// WithRetryAfter returns a copy of e that asks for a wait of d before a retry.
func (e *Error) WithRetryAfter(d time.Duration) *Error {
	c := *e
	c.RetryAfter = d
	return &c
}

// As returns the outermost *Error in err's chain, or nil.
func As(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return nil
}

// KindOf returns the kind of the outermost *Error in err's chain, or Internal if there is none.
func KindOf(err error) Kind {
	if e := As(err); e != nil {
		return e.Kind
	}
	return Internal
}

// Is reports whether err is of the given kind.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }

// Describe returns the part of err that may be shown to clients and stored for them. A worker logs
// the complete text of an internal error, which can contain names of hosts and statements.
func Describe(err error) string {
	if e := As(err); e != nil {
		return e.Detail
	}
	return "internal error; see the worker's log"
}

// Package fault names the kinds of failure that cross a border. A failure
// without a kind is internal: it is logged whole and never shown to a client.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Kind is what went wrong, in the terms of those who have to act on it. Its text
// is the stable code of the HTTP contract where there is one.
type Kind string

const (
	// Internal is any failure that nobody gave a kind: a defect, or a
	// dependency failing in a way that was not foreseen. It may be retried.
	Internal Kind = "internal"

	// The kinds below say that a request or a document is wrong. Trying again
	// without changing it is pointless.
	BadRequest           Kind = "bad_request"
	Unauthenticated      Kind = "unauthenticated"
	Forbidden            Kind = "forbidden"
	NotFound             Kind = "not_found"
	Conflict             Kind = "conflict"
	PreconditionFailed   Kind = "precondition_failed" // If-Match and the like
	RequestTimeout       Kind = "request_timeout"     // its body is too slow
	TooLarge             Kind = "too_large"
	UnsupportedMediaType Kind = "unsupported_media_type"
	InvalidEncoding      Kind = "invalid_encoding"
	EmptyDocument        Kind = "empty_document"
	InvalidMetadata      Kind = "invalid_metadata"

	// BadResponse is a dependency that answered, but not what was asked: a
	// model that returns the wrong number of vectors, say. Asking again would
	// pay for the same wrong answer.
	BadResponse Kind = "bad_answer"

	// InterruptedResponse is a dependency that took a request and broke off its
	// answer. Asking again may help, but may be paid for each time: it uses up
	// attempts.
	InterruptedResponse Kind = "broken_answer"

	// InputRejected is a model that does not take what it was sent: the answer is
	// about the texts, not about the request's form or the model's state.
	// Sending the same again is pointless; sending fewer or shorter texts may
	// help. TooLong is the same where the provider says that it is the length.
	InputRejected Kind = "refused"
	InputTooLong  Kind = "too_long"

	// Misconfigured is a dependency that cannot be used as it is configured: a
	// wrong key, an unknown model, an address that is not a provider's. The
	// detail says what to set. Work waits until an operator has set it.
	Misconfigured Kind = "misconfigured"

	// Damaged is an original that is not in object storage as it was uploaded.
	// Reading it again is pointless; uploading the same bytes restores it.
	Damaged Kind = "damaged"

	// RateLimited and Unavailable say that a dependency wants us to wait.
	RateLimited Kind = "rate_limited"
	Unavailable Kind = "unavailable"

	// LeaseLost says that another worker has taken the task over: the worker
	// that gets it must stop and write nothing.
	LeaseLost Kind = "lease_lost"
)

// Error is a failure with a kind. Detail is written for the person who reads
// it, says what happened to what, and is shown to clients; Err is the cause
// and is only logged.
type Error struct {
	Kind       Kind
	Detail     string
	Offset     *int64        // byte offset of the offending input, where one is known
	RetryAfter time.Duration // how long to wait, where the dependency said so
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

// New returns a failure of the given kind with a detail for people.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Detail: fmt.Sprintf(format, args...)}
}

// Wrap returns a failure of the given kind caused by err.
func Wrap(kind Kind, err error, format string, args ...any) *Error {
	return &Error{Kind: kind, Detail: fmt.Sprintf(format, args...), Err: err}
}

// WithOffset returns a copy of e that points at a byte offset of the input.
func (e *Error) WithOffset(offset int64) *Error {
	c := *e
	c.Offset = &offset
	return &c
}

// WithRetryAfter returns a copy of e that asks for a wait of d.
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

// KindOf returns the kind of err: that of the outermost *Error in its chain,
// or Internal.
func KindOf(err error) Kind {
	if e := As(err); e != nil {
		return e.Kind
	}
	return Internal
}

// Is reports whether err is of the given kind.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }

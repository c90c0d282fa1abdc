package fault

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

func TestDescribe(t *testing.T) {
	t.Parallel()
	secret := errors.New("dial tcp 10.0.0.7:5432: password of gristmill")
	for _, test := range []struct {
		err  error
		want string
	}{
		{New(BadRequest, "key is missing"), "key is missing"},
		{Wrap(Unavailable, secret, "the database is down"), "the database is down"},
		{fmt.Errorf("write: %w", Wrap(Damaged, New(NotFound, "no object"), "original is lost")), "original is lost"},
		{Wrap(Internal, secret, "its worker panicked"), "its worker panicked"},
		{fmt.Errorf("write: %w", secret), "internal error; see the worker's log"},
	} {
		if got := Describe(test.err); got != test.want {
			t.Errorf("Describe(%v) = %q, want %q", test.err, got, test.want)
		}
	}
}

// Errors are package variables in some packages, so a change for one caller must not reach others.
func TestWithReturnsACopy(t *testing.T) {
	t.Parallel()
	base := Wrap(Unavailable, io.EOF, "server %s is down", "a")
	offset, wait := base.WithOffset(7), base.WithRetryAfter(time.Second)
	if base.Offset != nil || base.RetryAfter != 0 {
		t.Errorf("the error became %+v, want it unchanged", base)
	}
	if offset.Offset == nil || *offset.Offset != 7 || offset.RetryAfter != 0 {
		t.Errorf("WithOffset: got %+v, want offset 7", offset)
	}
	if wait.RetryAfter != time.Second || wait.Offset != nil {
		t.Errorf("WithRetryAfter: got %+v, want a wait of 1s", wait)
	}
	for _, e := range []*Error{offset, wait} {
		if e.Kind != Unavailable || e.Error() != "server a is down: EOF" || !errors.Is(e, io.EOF) {
			t.Errorf("the copy is %+v (%v), want the kind, the detail and the cause of the error", e, e)
		}
	}
}

func TestKindOfAnError(t *testing.T) {
	t.Parallel()
	inner := New(NotFound, "no object")
	for _, test := range []struct {
		err  error
		want Kind
	}{
		{inner, NotFound},
		{fmt.Errorf("open: %w", inner), NotFound},
		{Wrap(Damaged, inner, "original lost"), Damaged}, // the outermost kind counts
		{errors.New("a defect"), Internal},
	} {
		if got := KindOf(test.err); got != test.want || !Is(test.err, test.want) {
			t.Errorf("kind of %v = %s, want %s", test.err, got, test.want)
		}
	}
	if As(errors.New("a defect")) != nil || Is(nil, Internal) {
		t.Error("an error without a kind has one, or nil is a failure")
	}
}

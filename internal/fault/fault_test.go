package fault

import (
	"errors"
	"fmt"
	"testing"
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

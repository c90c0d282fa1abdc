package postgres

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

// What keeps the server from working passes, or is for the operator to mend:
// either way the same call may succeed later.
func TestConditionsOfTheServerAreUnavailable(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"53100": "disk of the database is full", "53200": "memory", "53300": "max_connections", "25006": "read-only",
		"58030": "disk", "57P01": "at the moment", "57P02": "at the moment", "57P03": "at the moment", "08006": "at the moment",
	} {
		var err error = &pgconn.PgError{Code: code}
		wrapError(&err, "write")
		if f := fault.As(err); f == nil || f.Kind != fault.Unavailable || f.RetryAfter == 0 || !strings.Contains(f.Detail, want) {
			t.Errorf("%s: got %v, want a wait that says %q", code, err, want)
		}
	}
	for _, code := range []string{"23505", "22003", "42501", "XX001"} {
		var err error = &pgconn.PgError{Code: code}
		if wrapError(&err, "write"); fault.As(err) != nil {
			t.Errorf("%s: got %v, want an internal error", code, err)
		}
	}
}

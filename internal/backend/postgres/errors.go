package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/task"
)

// errBadURL stands for the driver's error, which may quote the URL and with it
// the password.
var errBadURL = errors.New("database URL does not parse: want postgres://user:password@host:port/database")

// retryAfter is how long to leave a database alone that cannot be used.
const retryAfter = 2 * time.Second

// errConnectionLost is a connection that broke under a transaction.
var errConnectionLost = errors.New("connection lost")

// wrapError adds to *err what was being done. A failure that is the server's
// and will pass becomes fault.Unavailable, and a space that is gone fault.Conflict.
func wrapError(err *error, format string, args ...any) {
	if *err == nil {
		return
	}
	failure := *err
	if fault.As(failure) == nil && isUnavailable(failure) {
		failure = fault.Wrap(fault.Unavailable, failure, "%s", unavailableMessage(failure)).WithRetryAfter(retryAfter)
	}
	if fault.As(failure) == nil && sqlState(failure) == undefinedTable {
		failure = fault.Wrap(fault.Conflict, failure, "the space was dropped meanwhile")
	}
	*err = fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), failure)
}

// undefinedTable is the SQLSTATE of a statement that names the table of a space
// that is dropped.
const undefinedTable = "42P01"

// isUnavailable reports whether err says nothing about the statement or its
// arguments, so that the same call may succeed later.
func isUnavailable(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false // the caller has gone
	}
	if _, connecting := errors.AsType[*pgconn.ConnectError](err); connecting {
		return true
	}
	if code := sqlState(err); code != "" {
		return isTransient(code)
	}
	return errors.Is(err, errConnectionLost) || errors.Is(err, context.DeadlineExceeded) || pgconn.Timeout(err)
}

// unavailableMessage says what keeps the database from working, and what to do about it
// where that is not to wait.
func unavailableMessage(err error) string {
	switch sqlState(err) {
	case "53100":
		return "the disk of the database is full: free some space on it, and work goes on"
	case "53200":
		return "the database has no memory left: give it more, or fewer connections"
	case "53300":
		return "the database takes no more connections: raise its max_connections"
	case "25006":
		return "the database is read-only: have it take writes, or set GRISTMILL_DATABASE_URL to a server that does"
	case "58030":
		return "the database cannot read or write its disk: look at its log"
	default:
		return "the database cannot be used at the moment"
	}
}

// isTransient reports whether an SQLSTATE tells of the server's condition.
func isTransient(code string) bool {
	switch code {
	case "57P01", "57P02", "57P03", // shutting down, crashed, starting up
		"57014",          // statement timeout
		"55P03",          // lock timeout
		"25006",          // read-only: a standby during failover
		"58030",          // its disk fails
		"40001", "40P01": // serialization failure, deadlock
		return true
	}
	class := code[:2]
	return class == "08" || class == "53" // connection exception, out of resources
}

// sqlState returns the server's code for what went wrong, or "".
func sqlState(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

func isNoRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }

func errLeaseLost(work task.Work) error {
	return lifecycle.LeaseLost(work.Ref)
}

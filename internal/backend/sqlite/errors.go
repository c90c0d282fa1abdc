package sqlite

import (
	"context"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

// wrapError adds to *err what was being done. A failure that is not the
// statement's fault becomes fault.Unavailable.
func wrapError(err *error, format string, args ...any) {
	if *err == nil {
		return
	}
	failure := *err
	if detail := unavailableMessage(failure); detail != "" && fault.As(failure) == nil {
		failure = fault.Wrap(fault.Unavailable, failure, "%s", detail)
	}
	*err = fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), failure)
}

// unavailableMessage says what keeps the database from working, or nothing when it
// does work.
func unavailableMessage(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "the database is too busy to answer in time"
	}
	switch primaryCode(err) {
	case codes.SQLITE_BUSY, codes.SQLITE_LOCKED:
		return "the database is locked by another program: close whatever else has it open"
	case codes.SQLITE_FULL:
		return "the disk that holds the database is full: free some space"
	case codes.SQLITE_IOERR:
		return "the disk that holds the database could not be read or written"
	case codes.SQLITE_CANTOPEN:
		return "the database file could not be opened: check that its directory exists and may be written to"
	case codes.SQLITE_READONLY, codes.SQLITE_PERM:
		return "the database file may not be written to: check its permissions"
	default:
		return ""
	}
}

func isBusy(err error) bool { return primaryCode(err) == codes.SQLITE_BUSY }

// primaryCode returns SQLite's result code without its extension, or 0.
func primaryCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}

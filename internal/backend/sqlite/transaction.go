package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/seed-7a112592/gristmill/internal/tenant"
)

// transaction is one transaction for one tenant. All its rows get the same
// time.
type transaction struct {
	*sql.Tx
	tenant string
	now    micros
}

// inReadTransaction runs fn in a transaction that sees one state of the database.
func (s *Store) inReadTransaction(ctx context.Context, fn func(tx transaction) error) error {
	return inTenant(ctx, s.readers, fn)
}

// inWriteTransaction runs fn in a transaction that is alone in writing. It is on the disk
// when write returns, or rolled back when write fails.
func (s *Store) inWriteTransaction(ctx context.Context, fn func(tx transaction) error) error {
	return inTenant(ctx, s.writer, fn)
}

// inTenant is the one way to a tenant's rows.
func inTenant(ctx context.Context, db *sql.DB, fn func(tx transaction) error) error {
	id, err := tenant.From(ctx)
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback() // does nothing after a commit

	if err = fn(transaction{Tx: tx, tenant: id, now: microsOf(time.Now())}); err == nil {
		if err = tx.Commit(); err != nil {
			err = fmt.Errorf("commit: %w", err)
		}
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err() // of which the rest only sees a transaction that is over
	}
	return err
}

// collectRows scans every row of a query.
func collectRows[T any](rows *sql.Rows, err error, scan func(row scanner) (T, error)) ([]T, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	items := []T{}
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, rows.Err()
}

// scanner is a row, alone or among others.
type scanner interface{ Scan(dest ...any) error }

// micros is a time as rows hold it: microseconds since 1970 UTC.
type micros int64

func microsOf(t time.Time) micros { return micros(t.UnixMicro()) }

func (m micros) time() time.Time { return time.UnixMicro(int64(m)).UTC() }

func (m micros) add(d time.Duration) micros { return m + micros(d.Microseconds()) }

func (m micros) until(later micros) time.Duration { return time.Duration(later-m) * time.Microsecond }

// timeOrNil returns the time of a column that may be NULL.
func timeOrNil(m *micros) *time.Time {
	if m == nil {
		return nil
	}
	t := m.time()
	return &t
}

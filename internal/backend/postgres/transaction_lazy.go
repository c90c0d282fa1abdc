package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// setTenant sets the tenant for the transaction only: the next user of the
// connection does not inherit it.
const setTenant = `SELECT set_config('gristmill.tenant', $1, true)`

// lazyTransaction is a transaction of a tenant that begins with its first
// statements: when these are a batch, it begins in the same round trip.
type lazyTransaction struct {
	pgx.Tx // nil until it has begun, and so then are methods that are not below

	conn           *pgx.Conn
	beginStatement string // the statement
	tenant         string
}

// ensureBegun begins the transaction in a round trip of its own, unless it has begun.
func (t *lazyTransaction) ensureBegun(ctx context.Context) (err error) {
	if t.Tx != nil {
		return nil
	}
	// The id needs no quoting, tenant.From has seen to that.
	t.Tx, err = t.conn.BeginTx(ctx, pgx.TxOptions{BeginQuery: t.beginStatement + "; set local gristmill.tenant = '" + t.tenant + "'"})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	return nil
}

// SendBatch implements pgx.Tx.
func (t *lazyTransaction) SendBatch(ctx context.Context, batch *pgx.Batch) pgx.BatchResults {
	switch {
	case t.Tx != nil:
		return t.Tx.SendBatch(ctx, batch)
	case len(batch.QueuedQueries) == 0:
		return t.conn.SendBatch(ctx, batch)
	case t.beginStatement == beginSnapshot: // setTenant would take the snapshot
		if err := t.ensureBegun(ctx); err != nil {
			return pgx.FailedBatchResults(batch, err)
		}
		return t.Tx.SendBatch(ctx, batch)
	}
	var whole pgx.Batch
	whole.BeginTx(pgx.TxOptions{BeginQuery: t.beginStatement})
	whole.Queue(setTenant, t.tenant)
	whole.QueuedQueries = append(whole.QueuedQueries, batch.QueuedQueries...)
	results := t.conn.SendBatch(ctx, &whole)
	t.Tx = results.Tx()
	for range len(whole.QueuedQueries) - len(batch.QueuedQueries) {
		_, _ = results.Exec() // its error is that of what follows, too
	}
	return results
}

// Exec implements pgx.Tx.
func (t *lazyTransaction) Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error) {
	if err := t.ensureBegun(ctx); err != nil {
		return pgconn.CommandTag{}, err
	}
	return t.Tx.Exec(ctx, sql, arguments...)
}

// Query implements pgx.Tx.
func (t *lazyTransaction) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if err := t.ensureBegun(ctx); err != nil {
		return nil, err
	}
	return t.Tx.Query(ctx, sql, args...)
}

// QueryRow implements pgx.Tx.
func (t *lazyTransaction) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	if err := t.ensureBegun(ctx); err != nil {
		return errorRow{err}
	}
	return t.Tx.QueryRow(ctx, sql, args...)
}

// errorRow is the row of a transaction that could not begin.
type errorRow struct{ err error }

func (r errorRow) Scan(...any) error { return r.err }

// Conn implements pgx.Tx.
func (t *lazyTransaction) Conn() *pgx.Conn { return t.conn }

// Rollback implements pgx.Tx. It does nothing after a commit.
func (t *lazyTransaction) Rollback(ctx context.Context) error {
	if t.Tx == nil || t.conn.PgConn().TxStatus() == txStatusIdle {
		return nil
	}
	return t.Tx.Rollback(ctx)
}

// txStatusIdle is the state of a connection that no transaction is under way on.
const txStatusIdle = 'I'

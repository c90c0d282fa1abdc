package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed-7a112592/gristmill/internal/tenant"
)

const (
	// transactionTimeout bounds a transaction, and acquireTimeout waiting for
	// a connection to run it on: a server that hangs without closing its
	// connections must not hold a worker for ever. The longest there is,
	// publishing a document of a gigabyte, takes some seconds.
	transactionTimeout = 2 * time.Minute
	acquireTimeout     = 30 * time.Second

	// rollbackTimeout bounds telling the server that a transaction is over.
	rollbackTimeout = 5 * time.Second
)

// connectionTries is on how many connections a transaction is tried before the call
// fails. Where connections break now and then, long work would else never end.
const connectionTries = 3

// inTenant is the one way to a tenant's rows. It runs fn in a transaction that
// sees the rows of the tenant in ctx and of nobody else, and commits when fn
// returns nil; an error or a panic of fn rolls back. When the connection breaks
// before that, nothing has happened, and fn is run again on another.
func (s *Store) inTenant(ctx context.Context, fn func(tx pgx.Tx) error) error {
	return s.inTransaction(ctx, beginReadWrite, withoutCommitBatch(fn))
}

// inTenantCommitBatch is inTenant for a transaction whose last statements go to the
// server together with the commit, which saves a round trip. Once fn has returned
// them, an error of theirs still rolls back; one that the client finds in their
// results does not.
func (s *Store) inTenantCommitBatch(ctx context.Context, fn func(tx pgx.Tx) (last *pgx.Batch, err error)) error {
	return s.inTransaction(ctx, beginReadWrite, fn)
}

// inOneTrip runs a transaction of the tenant in ctx in one round trip: the
// statements that queue adds, without a begin or a commit, which the end of the
// trip is. An error of a statement rolls back; one that the client finds in the
// results does not. When the connection breaks, they are sent again on another:
// they must do no harm when they run twice.
func (s *Store) inOneTrip(ctx context.Context, queue func(batch *pgx.Batch)) error {
	return s.inOneTripWithSettings(ctx, setTenant, nil, queue)
}

// inOneTripWithSettings is inOneTrip with more settings than the tenant: set is setTenant
// followed by further set_config calls, and args are their arguments from $2 on.
func (s *Store) inOneTripWithSettings(ctx context.Context, set string, args []any, queue func(batch *pgx.Batch)) error {
	return s.retryOnConnection(ctx, func(conn *pgx.Conn, id string) (again bool, err error) {
		var batch pgx.Batch
		batch.Queue(set, append([]any{id}, args...)...)
		queue(&batch)
		return true, conn.SendBatch(ctx, &batch).Close()
	})
}

// inSnapshot is inTenant for who only reads: all statements of fn see what was
// there when the first began. Only tables that were dropped since are gone.
func (s *Store) inSnapshot(ctx context.Context, fn func(tx pgx.Tx) error) error {
	return s.inTransaction(ctx, beginSnapshot, withoutCommitBatch(fn))
}

const (
	beginReadWrite = "begin"
	beginSnapshot  = "begin isolation level repeatable read read only"
)

func withoutCommitBatch(fn func(tx pgx.Tx) error) func(tx pgx.Tx) (*pgx.Batch, error) {
	return func(tx pgx.Tx) (*pgx.Batch, error) { return nil, fn(tx) }
}

// inSnapshotOneTrip is inSnapshot for statements that do not need each other's answers:
// those that queue adds to the batch go to the database with the beginning and the
// end of the transaction in one round trip. An error that reading an answer
// returns ends the call; nothing else is read.
func (s *Store) inSnapshotOneTrip(ctx context.Context, queue func(batch *pgx.Batch)) error {
	return s.retryOnConnection(ctx, func(conn *pgx.Conn, id string) (again bool, err error) {
		return true, sendSnapshotBatch(ctx, conn, id, queue)
	})
}

func (s *Store) inTransaction(ctx context.Context, begin string, fn func(tx pgx.Tx) (*pgx.Batch, error)) error {
	return s.retryOnConnection(ctx, func(conn *pgx.Conn, id string) (again bool, err error) {
		again = true
		err = runTransaction(ctx, &lazyTransaction{conn: conn, beginStatement: begin, tenant: id}, func(tx pgx.Tx) (*pgx.Batch, error) {
			last, err := fn(tx)
			again = err != nil // else it may be committed
			return last, err
		})
		return again, err
	})
}

// retryOnConnection runs a transaction of the tenant in ctx on a connection, and on
// another when that breaks and run says that it may run again.
func (s *Store) retryOnConnection(ctx context.Context, run func(conn *pgx.Conn, id string) (again bool, err error)) error {
	id, err := tenant.From(ctx)
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		again, err := s.runOnConnection(ctx, id, run)
		if try == connectionTries || !again || !errors.Is(err, errConnectionLost) || pgconn.Timeout(err) || ctx.Err() != nil {
			return err
		}
	}
}

// runOnConnection runs a transaction on one connection.
func (s *Store) runOnConnection(ctx context.Context, id string, run func(conn *pgx.Conn, id string) (again bool, err error)) (again bool, err error) {
	conn, err := s.acquire(ctx)
	if err != nil {
		return true, err
	}
	defer conn.Release()
	// The connection's deadline and not a context's: run brings its own.
	line := conn.Conn().PgConn().Conn()
	if err := line.SetDeadline(time.Now().Add(s.timeout)); err != nil {
		return true, fmt.Errorf("%w: %w", errConnectionLost, err)
	}
	defer func() { _ = line.SetDeadline(time.Time{}) }() // fails on a closed connection only
	again, err = run(conn.Conn(), id)
	return again, markConnectionLost(conn.Conn(), err)
}

// acquire takes a connection from the pool.
func (s *Store) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, acquireTimeout)
	defer cancel()
	return s.pool.Acquire(ctx)
}

func runTransaction(ctx context.Context, tx *lazyTransaction, fn func(tx pgx.Tx) (*pgx.Batch, error)) error {
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		// Does nothing after a commit. Its own error changes nothing: a
		// connection that cannot roll back is closed, which rolls back.
		_ = tx.Rollback(ctx)
	}()
	last, err := fn(tx)
	if err != nil {
		return err
	}
	if committed, err := commit(ctx, tx, last); err != nil && !committed {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// commit sends the last statements, if there are any, and commits. It reports
// whether the server has said that it did so: a connection that ends after that,
// before the server is ready for more, is an error and changes nothing. What is
// sent is waited for, though ctx ends: a caller that gave up here would not know
// what it has done. A worker whose lease ends with the transaction would take its
// own end for the loss of the lease.
func commit(ctx context.Context, tx *lazyTransaction, last *pgx.Batch) (committed bool, err error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	ctx = context.WithoutCancel(ctx)
	var tag pgconn.CommandTag
	switch {
	case last != nil:
		last.Queue("commit").Exec(func(answer pgconn.CommandTag) error {
			tag = answer
			return nil
		})
		err = tx.SendBatch(ctx, last).Close()
	case tx.Tx != nil:
		tag, err = tx.conn.Exec(ctx, "commit")
	default:
		return true, nil // no statement was sent
	}
	if tag.String() == "ROLLBACK" {
		err = pgx.ErrTxCommitRollback
	}
	return tag.String() == "COMMIT", err
}

func sendSnapshotBatch(ctx context.Context, conn *pgx.Conn, id string, queue func(batch *pgx.Batch)) error {
	var batch pgx.Batch
	batch.Queue(beginSnapshot)
	batch.Queue(setTenant, id)
	queue(&batch)
	batch.Queue("commit")
	err := conn.SendBatch(ctx, &batch).Close()
	if conn.PgConn().TxStatus() != txStatusIdle { // the commit was passed over
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		// A connection that cannot roll back is closed, which rolls back.
		_, _ = conn.Exec(ctx, "rollback")
	}
	return err
}

// markConnectionLost marks a failure that took the connection with it. When that was
// during a commit nobody knows whether the transaction happened.
func markConnectionLost(conn *pgx.Conn, err error) error {
	if err != nil && sqlState(err) == "" && conn.IsClosed() {
		return fmt.Errorf("%w: %w", errConnectionLost, err)
	}
	return err
}

// queryAll sends a query and scans all its rows.
func queryAll[T any](ctx context.Context, tx pgx.Tx, scan func(row pgx.CollectableRow) (T, error), query string, args ...any) ([]T, error) {
	rows, err := tx.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scan)
}

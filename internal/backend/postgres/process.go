package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
)

const (
	// processCheckInterval is how often it is looked for processes that have died, and
	// sessionTimeout how long the server may take to answer.
	processCheckInterval = time.Second
	sessionQueryTimeout  = 10 * time.Second

	// deadAfter is how long the lock of a process must be seen to be free, over a
	// connection that stays, before the process counts as dead. One that has lost
	// its connection, as all do when the server restarts, has the lock again long
	// before.
	deadAfter = 5 * time.Second
)

// WatchProcesses has this process seen to live until ctx ends, and calls died for each
// process that has died, again and again until it returns nil.
//
// A process lives while a connection of its holds the advisory lock of its id.
// That of a process that was killed is closed by its machine at once; one that
// is slow, or stopped, keeps it. That of a machine that is gone stays open for
// a while, and leases run out before.
func (s *Store) WatchProcesses(ctx context.Context, died func(ctx context.Context, process int64) error) {
	for ctx.Err() == nil {
		if err := s.watchOnConnection(ctx, died); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "connection lost by which others see that this process lives; connecting again", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(processCheckInterval):
			}
		}
	}
}

// watchOnConnection is Attend while one connection lasts.
func (s *Store) watchOnConnection(ctx context.Context, died func(ctx context.Context, process int64) error) (err error) {
	defer wrapError(&err, "attend")
	acquiring, cancel := context.WithTimeout(ctx, acquireTimeout)
	defer cancel()
	pooled, err := s.sessions.Acquire(acquiring)
	if err != nil {
		return err
	}
	conn := pooled.Hijack() // the lock goes with it
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockTimeout)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	defer func() { err = markConnectionLost(conn, err) }()
	// Shared, so that it need not be waited for where the connection before is
	// not known to be closed yet.
	if err := execInSession(ctx, conn, `SELECT pg_advisory_lock_shared($1)`, s.processID); err != nil {
		return err
	}
	ticker := time.NewTicker(processCheckInterval)
	defer ticker.Stop()
	missed := map[int64]time.Time{} // since when
	for {
		missing, err := readUnlockedProcesses(ctx, conn, s.processID)
		if err != nil {
			return err
		}
		now := time.Now()
		for _, process := range missing {
			if since, known := missed[process]; !known {
				missed[process] = now
			} else if now.Sub(since) >= deadAfter {
				if err := died(ctx, process); err != nil {
					s.log.WarnContext(ctx, "tasks of a process that has died are not given to others yet; trying again", "process", process, "error", err)
				} else if err := execInSession(ctx, conn, `DELETE FROM processes WHERE id = $1`, process); err != nil {
					return err
				}
			}
		}
		for process := range missed {
			if !slices.Contains(missing, process) {
				delete(missed, process)
			}
		}
		select {
		case <-ctx.Done():
			return execInSession(context.WithoutCancel(ctx), conn, `DELETE FROM processes WHERE id = $1`, s.processID)
		case <-ticker.C:
		}
	}
}

// readUnlockedProcesses returns the processes whose lock is free, and sees to it that our
// own is known. An advisory lock of one number shows as its two halves.
func readUnlockedProcesses(ctx context.Context, conn *pgx.Conn, own int64) ([]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, sessionQueryTimeout)
	defer cancel()
	rows, err := conn.Query(ctx, `
		WITH own AS (INSERT INTO processes (id) VALUES ($1) ON CONFLICT DO NOTHING)
		SELECT id FROM processes
		EXCEPT
		SELECT (classid::bigint << 32) | objid::bigint
		FROM pg_locks
		WHERE locktype = 'advisory' AND objsubid = 1 AND granted
		  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`, own)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// execInSession runs a statement of a session.
func execInSession(ctx context.Context, conn *pgx.Conn, statement string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, sessionQueryTimeout)
	defer cancel()
	_, err := conn.Exec(ctx, statement, args...)
	return err
}

// ReclaimTasks ends the leases of a dead process that have less than left to run,
// and counts their tasks as dispatched now. A transaction of the process may
// still be ending: what it holds is left for the next call. The last call also
// returns, under a next round, what nobody has claimed yet: the process may have
// taken it from the queue, which holds on to it for a minute.
func (s *Store) ReclaimTasks(ctx context.Context, process int64, left time.Duration) (reclaimed []task.Dispatch, more bool, err error) {
	defer wrapError(&err, "reclaim tasks of process %d", process)
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		id, err := tenant.From(ctx)
		if err != nil {
			return err
		}
		reclaimed, err = queryAll(ctx, tx, scanDispatch(id), `
			WITH of_tasks AS MATERIALIZED (
				SELECT job, kind FROM tasks WHERE `+isLeasedTo+` FOR UPDATE SKIP LOCKED
			), of_reindexes AS MATERIALIZED (
				SELECT id FROM reindexes WHERE `+isLeasedTo+` FOR UPDATE SKIP LOCKED
			), tasks_now AS (
				UPDATE tasks t SET lease_until = clock_timestamp(), dispatched_at = clock_timestamp()
				FROM of_tasks o
				WHERE t.job = o.job AND t.kind = o.kind
				RETURNING t.document, t.version, t.kind, t.round
			), reindexes_now AS (
				UPDATE reindexes r SET lease_until = clock_timestamp(), dispatched_at = clock_timestamp()
				FROM of_reindexes o
				WHERE r.id = o.id
				RETURNING r.id, 1, $3::text, r.round
			)
			SELECT * FROM tasks_now UNION ALL SELECT * FROM reindexes_now`, process, left, task.KindReindex)
		if err != nil {
			return fmt.Errorf("end leases: %w", err)
		}
		if err := tx.QueryRow(ctx, `
			SELECT EXISTS (SELECT FROM tasks WHERE `+isLeasedTo+`) OR EXISTS (SELECT FROM reindexes WHERE `+isLeasedTo+`)`, process, left).
			Scan(&more); err != nil || more {
			return err
		}
		unclaimed, err := queryAll(ctx, tx, scanDispatch(id), `
			WITH of_tasks AS MATERIALIZED (
				SELECT job, kind FROM tasks WHERE `+isUnclaimed+` FOR UPDATE SKIP LOCKED
			), of_reindexes AS MATERIALIZED (
				SELECT id FROM reindexes WHERE `+isUnclaimed+` FOR UPDATE SKIP LOCKED
			), tasks_now AS (
				UPDATE tasks t SET round = t.round + 1, dispatched_at = clock_timestamp()
				FROM of_tasks o
				WHERE t.job = o.job AND t.kind = o.kind
				RETURNING t.document, t.version, t.kind, t.round
			), reindexes_now AS (
				UPDATE reindexes r SET round = r.round + 1, dispatched_at = clock_timestamp()
				FROM of_reindexes o
				WHERE r.id = o.id
				RETURNING r.id, 1, $1::text, r.round
			)
			SELECT * FROM tasks_now UNION ALL SELECT * FROM reindexes_now`, task.KindReindex)
		reclaimed = append(reclaimed, unclaimed...)
		return err
	})
	return reclaimed, more, err
}

// isUnclaimed is the condition for a task or reindex to be in the queue, its time
// having come.
const isUnclaimed = `state IN ('queued', 'waiting') AND dispatched_at IS NOT NULL AND coalesce(next_attempt_at <= clock_timestamp(), true)`

// isLeasedTo is the condition for the process $1 to hold a lease of a task or
// reindex that has less than $2 left to run.
const isLeasedTo = `process = $1 AND state = 'running' AND dispatched_at IS NOT NULL
	AND lease_until > clock_timestamp() AND lease_until < clock_timestamp() + $2::interval`

package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
)

// Dispatch returns the oldest tasks that were never dispatched, as many as
// there is room for, and counts them as dispatched. Those who dispatch for a
// tenant do so one after another, so that each sees what the one before took:
// but for when nothing waits, which each sees by itself. A commit that a crash
// of the server takes back is no loss, the tasks are then dispatched again: so
// nobody holds the lock, or waits, until it is on the disk. Nor is one whose
// answer a broken connection takes: what it dispatched is due again later.
func (s *Store) Dispatch(ctx context.Context, windows map[task.Kind]int) (dispatched []task.Dispatch, err error) {
	defer wrapError(&err, "dispatch tasks")
	id, err := tenant.From(ctx)
	if err != nil {
		return nil, err
	}
	err = s.inOneTrip(ctx, func(batch *pgx.Batch) {
		dispatched = nil
		batch.Queue(setAsynchronousCommit)
		batch.Queue(lockDispatch, id)
		for _, kind := range task.Kinds {
			window := windows[kind]
			if window < 1 {
				continue
			}
			query := dispatchTasks
			if kind == task.KindReindex {
				query = dispatchReindexes
			}
			batch.Queue(query, kind, window).Query(func(rows pgx.Rows) error {
				some, err := pgx.CollectRows(rows, scanDispatch(id))
				dispatched = append(dispatched, some...)
				return err
			})
		}
	})
	return dispatched, err
}

// setAsynchronousCommit has the transaction's commit not wait for the disk.
const setAsynchronousCommit = `SELECT set_config('synchronous_commit', 'off', true)`

// lockDispatch asks for the first entry of an index, in its order. Of EXISTS
// PostgreSQL would read the table, where most of it is of another tenant and
// queued: it expects to find one at once.
const lockDispatch = `
	SELECT pg_advisory_xact_lock(hashtextextended('dispatch/' || $1::text, 0))
	WHERE (SELECT job FROM tasks WHERE state = 'queued' AND dispatched_at IS NULL ORDER BY tenant, kind, job LIMIT 1) IS NOT NULL
	   OR (SELECT id FROM reindexes WHERE state = 'queued' AND dispatched_at IS NULL ORDER BY tenant, id LIMIT 1) IS NOT NULL`

// Counting stops at the window: what is long past it is not counted out.
const dispatchTasks = `
	WITH room AS (
		SELECT $2 - count(*) AS tasks
		FROM (SELECT FROM tasks
		      WHERE state IN ('queued', 'running', 'waiting') AND dispatched_at IS NOT NULL AND kind = $1
		      LIMIT $2) AS under_way
	), dispatched AS (
		UPDATE tasks SET dispatched_at = clock_timestamp()
		WHERE kind = $1 AND job = ANY (ARRAY(
			SELECT job
			FROM tasks
			WHERE state = 'queued' AND dispatched_at IS NULL AND kind = $1
			ORDER BY job
			LIMIT (SELECT tasks FROM room)
			FOR UPDATE SKIP LOCKED))
		RETURNING job, document, version, kind, round
	)
	SELECT document, version, kind, round FROM dispatched ORDER BY job`

const dispatchReindexes = `
	WITH room AS (
		SELECT $2 - count(*) AS tasks
		FROM (SELECT FROM reindexes
		      WHERE state IN ('queued', 'running', 'waiting') AND dispatched_at IS NOT NULL
		      LIMIT $2) AS under_way
	), dispatched AS (
		UPDATE reindexes SET dispatched_at = clock_timestamp()
		WHERE id = ANY (ARRAY(
			SELECT id
			FROM reindexes
			WHERE state = 'queued' AND dispatched_at IS NULL
			ORDER BY id
			LIMIT (SELECT tasks FROM room)
			FOR UPDATE SKIP LOCKED))
		RETURNING id, round
	)
	SELECT id, 1, $1::text, round FROM dispatched ORDER BY id`

// isOverdue is the condition for a task or reindex to be due after idle time $1.
const isOverdue = `state IN ('queued', 'running', 'waiting') AND dispatched_at IS NOT NULL
	AND CASE state
	    WHEN 'running' THEN lease_until <= now()
	    ELSE greatest(dispatched_at, next_attempt_at) <= now() - $1::interval
	    END`

// RedispatchOverdue returns dispatched tasks that should be in the queue but may not be, and
// counts them as dispatched now. Those that another sweep or a worker has
// locked are in good hands.
func (s *Store) RedispatchOverdue(ctx context.Context, idle time.Duration, limit int) (due []task.Dispatch, err error) {
	defer wrapError(&err, "find due tasks")
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		id, err := tenant.From(ctx)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, setAsynchronousCommit); err != nil {
			return err
		}
		due, err = queryAll(ctx, tx, scanDispatch(id), `
			WITH due_tasks AS MATERIALIZED (
				SELECT job AS id, kind, dispatched_at
				FROM tasks
				WHERE `+isOverdue+`
				ORDER BY dispatched_at
				LIMIT $2
				FOR UPDATE SKIP LOCKED
			), due_reindexes AS MATERIALIZED (
				SELECT id, $3::text AS kind, dispatched_at
				FROM reindexes
				WHERE `+isOverdue+`
				ORDER BY dispatched_at
				LIMIT $2
				FOR UPDATE SKIP LOCKED
			), due AS MATERIALIZED (
				SELECT * FROM due_tasks UNION ALL SELECT * FROM due_reindexes
				ORDER BY dispatched_at
				LIMIT $2
			), tasks_now AS (
				UPDATE tasks t SET dispatched_at = clock_timestamp()
				FROM due d
				WHERE t.job = d.id AND t.kind = d.kind
				RETURNING t.document, t.version, t.kind, t.round
			), reindexes_now AS (
				UPDATE reindexes r SET dispatched_at = clock_timestamp()
				FROM due d
				WHERE r.id = d.id AND d.kind = $3
				RETURNING r.id, 1, d.kind, r.round
			)
			SELECT * FROM tasks_now UNION ALL SELECT * FROM reindexes_now`, idle, limit, task.KindReindex)
		return err
	})
	return due, err
}

func scanDispatch(tenant string) pgx.RowToFunc[task.Dispatch] {
	return func(row pgx.CollectableRow) (task.Dispatch, error) {
		d := task.Dispatch{Ref: task.Ref{Tenant: tenant}}
		return d, row.Scan(&d.DocumentID, &d.Version, &d.Kind, &d.Round)
	}
}

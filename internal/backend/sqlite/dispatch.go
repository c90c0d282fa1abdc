package sqlite

import (
	"context"
	"database/sql"
	"time"

	"github.com/seed-7a112592/gristmill/internal/task"
)

// Dispatch returns the oldest tasks that were never dispatched, as many as
// there is room for, and counts them as dispatched now.
func (s *Store) Dispatch(ctx context.Context, windows map[task.Kind]int) (dispatched []task.Dispatch, err error) {
	defer wrapError(&err, "dispatch tasks")
	err = s.inWriteTransaction(ctx, func(tx transaction) error {
		for _, kind := range task.Kinds {
			oldest := queryUndispatchedTasks
			if kind == task.KindReindex {
				oldest = queryUndispatchedReindexes
			}
			rows, err := oldest(ctx, tx, kind, windows[kind])
			some, err := markDispatched(ctx, tx, rows, err)
			if err != nil {
				return err
			}
			dispatched = append(dispatched, some...)
		}
		return nil
	})
	return dispatched, err
}

func queryUndispatchedTasks(ctx context.Context, tx transaction, kind task.Kind, window int) (*sql.Rows, error) {
	// A comparison, and not IS NOT NULL, has SQLite find by the index what was
	// dispatched.
	return tx.QueryContext(ctx, `
		SELECT document, version, kind, round FROM tasks
		WHERE tenant = ?1 AND state = 'queued' AND dispatched_at IS NULL AND kind = ?2
		ORDER BY job
		LIMIT max(0, ?3 - (
			SELECT count(*) FROM tasks
			WHERE tenant = ?1 AND state IN ('queued', 'running', 'waiting') AND dispatched_at > 0 AND kind = ?2))`,
		tx.tenant, kind, window)
}

func queryUndispatchedReindexes(ctx context.Context, tx transaction, kind task.Kind, window int) (*sql.Rows, error) {
	return tx.QueryContext(ctx, `
		SELECT id, 1, ?2, round FROM reindexes
		WHERE tenant = ?1 AND state = 'queued' AND dispatched_at IS NULL
		ORDER BY id
		LIMIT max(0, ?3 - (
			SELECT count(*) FROM reindexes
			WHERE tenant = ?1 AND state IN ('queued', 'running', 'waiting') AND dispatched_at > 0))`,
		tx.tenant, kind, window)
}

// TenantsWithWork returns tenants that have tasks, or reindexes, that have not
// ended.
func (s *Store) TenantsWithWork(ctx context.Context) (ids []string, err error) {
	defer wrapError(&err, "list tenants with work")
	rows, err := s.readers.QueryContext(ctx, `
		SELECT id FROM tenants
		WHERE EXISTS (SELECT 1 FROM tasks t WHERE t.tenant = tenants.id AND state IN ('queued', 'running', 'waiting'))
		   OR EXISTS (SELECT 1 FROM reindexes r WHERE r.tenant = tenants.id AND state IN ('queued', 'running', 'waiting'))
		ORDER BY id`)
	return collectRows(rows, err, func(row scanner) (id string, err error) { return id, row.Scan(&id) })
}

// RedispatchOverdue returns dispatched tasks that should be in the queue but may not be,
// those first that were dispatched the longest ago, and counts them as
// dispatched now.
func (s *Store) RedispatchOverdue(ctx context.Context, idle time.Duration, limit int) (due []task.Dispatch, err error) {
	defer wrapError(&err, "list due tasks")
	err = s.inWriteTransaction(ctx, func(tx transaction) error {
		rows, err := tx.QueryContext(ctx, `
			SELECT document, version, kind, round FROM (
				SELECT document, version, kind, round, job, state, lease_until, next_attempt_at, dispatched_at
				FROM tasks
				WHERE tenant = ?1 AND state IN ('queued', 'running', 'waiting') AND dispatched_at > 0
				UNION ALL
				SELECT id, 1, 'reindex', round, id, state, lease_until, next_attempt_at, dispatched_at
				FROM reindexes
				WHERE tenant = ?1 AND state IN ('queued', 'running', 'waiting') AND dispatched_at > 0)
			WHERE CASE state
			      WHEN 'running' THEN lease_until <= ?2
			      ELSE max(dispatched_at, coalesce(next_attempt_at, 0)) <= ?3
			      END
			ORDER BY dispatched_at, job, kind
			LIMIT ?4`, tx.tenant, tx.now, tx.now.add(-idle), limit)
		due, err = markDispatched(ctx, tx, rows, err)
		return err
	})
	return due, err
}

// markDispatched counts the tasks of a query as dispatched now.
func markDispatched(ctx context.Context, tx transaction, rows *sql.Rows, err error) ([]task.Dispatch, error) {
	dispatches, err := collectRows(rows, err, func(row scanner) (task.Dispatch, error) {
		d := task.Dispatch{Ref: task.Ref{Tenant: tx.tenant}}
		return d, row.Scan(&d.DocumentID, &d.Version, &d.Kind, &d.Round)
	})
	if err != nil {
		return nil, err
	}
	for _, d := range dispatches {
		mark := markTaskDispatched
		if d.Kind == task.KindReindex {
			mark = markReindexDispatched
		}
		if err := mark(ctx, tx, d.Ref); err != nil {
			return nil, err
		}
	}
	return dispatches, nil
}

func markTaskDispatched(ctx context.Context, tx transaction, ref task.Ref) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE tasks SET dispatched_at = ?5
		WHERE tenant = ?1 AND document = ?2 AND version = ?3 AND kind = ?4`,
		tx.tenant, ref.DocumentID, ref.Version, ref.Kind, tx.now)
	return err
}

func markReindexDispatched(ctx context.Context, tx transaction, ref task.Ref) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE reindexes SET dispatched_at = ?3 WHERE tenant = ?1 AND id = ?2`, tx.tenant, ref.DocumentID, tx.now)
	return err
}

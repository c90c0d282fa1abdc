package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/task"
)

// backlogFoldRows is how many rows of the backlog are added up into one: reading
// so many takes less than a millisecond.
const backlogFoldRows = 1000

// Backlog returns how much of the tenant's work has not ended. Triggers of
// the jobs table keep count.
func (s *Store) Backlog(ctx context.Context) (backlog task.Backlog, err error) {
	defer wrapError(&err, "read the backlog")
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		var rows int
		if err := tx.QueryRow(ctx, `
			SELECT coalesce(sum(jobs), 0)::bigint, coalesce(sum(bytes), 0)::bigint, count(*) FROM backlog`).
			Scan(&backlog.Jobs, &backlog.Bytes, &rows); err != nil || rows < backlogFoldRows {
			return err
		}
		// Rows that another call has folded meanwhile are not deleted here, so
		// none is counted twice.
		_, err := tx.Exec(ctx, `
			WITH folded AS (DELETE FROM backlog RETURNING jobs, bytes)
			INSERT INTO backlog (jobs, bytes)
			SELECT sum(jobs), sum(bytes) FROM folded HAVING count(*) > 0`)
		return err
	})
	return backlog, err
}

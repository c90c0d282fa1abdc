package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/seed-7a112592/gristmill/internal/task"
)

// Backlog returns how much of the tenant's work has not ended. Triggers of
// the jobs table keep count.
func (s *Store) Backlog(ctx context.Context) (backlog task.Backlog, err error) {
	defer wrapError(&err, "read the backlog")
	err = s.inReadTransaction(ctx, func(tx transaction) error {
		err := tx.QueryRowContext(ctx, `SELECT jobs, bytes FROM backlog WHERE tenant = ?1`, tx.tenant).
			Scan(&backlog.Jobs, &backlog.Bytes)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return backlog, err
}

package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-7a112592/gristmill/internal/task"
)

// queueFence checks that the caller still holds the task's lease, and has nobody
// take it over before the transaction ends. It also notes how far the task is.
func queueFence(batch *pgx.Batch, work task.Work, progress any) {
	batch.Queue(`
		UPDATE tasks SET progress = $3
		WHERE job = $1 AND kind = $2 AND lease = $4`, work.JobID, work.Kind, progress, work.Lease).Exec(mustHoldLease(work))
}

// mustHoldLease fails when a statement has changed nothing: the lease is lost.
func mustHoldLease(work task.Work) func(tag pgconn.CommandTag) error {
	return func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() == 0 {
			return errLeaseLost(work)
		}
		return nil
	}
}

// queueCheckLease is queueFence without a lock: what it finds may change at once.
func queueCheckLease(batch *pgx.Batch, work task.Work) {
	batch.Queue(`
		SELECT EXISTS (SELECT FROM tasks WHERE job = $1 AND kind = $2 AND lease = $3)`,
		work.JobID, work.Kind, work.Lease).QueryRow(func(row pgx.Row) error {
		var ours bool
		err := row.Scan(&ours)
		if err == nil && !ours {
			return errLeaseLost(work)
		}
		return err
	})
}

func checkLease(ctx context.Context, tx pgx.Tx, work task.Work) error {
	var batch pgx.Batch
	queueCheckLease(&batch, work)
	return tx.SendBatch(ctx, &batch).Close()
}

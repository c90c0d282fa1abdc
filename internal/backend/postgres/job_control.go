package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// CancelJob ends the job's unended tasks as cancelled.
func (s *Store) CancelJob(ctx context.Context, id uuid.UUID) (cancelled document.Job, err error) {
	defer wrapError(&err, "cancel job %s", id)
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		cancelled, err = s.changeJob(ctx, tx, id, func(j lockedJob) (lifecycle.Job, error) { return j.Cancel(j.now) })
		return err
	})
	return cancelled, err
}

// RetryJob gives the failed and cancelled tasks of an ended job a fresh start,
// and has those that wait tried now.
func (s *Store) RetryJob(ctx context.Context, id uuid.UUID) (retried document.Job, err error) {
	defer wrapError(&err, "retry job %s", id)
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		retried, err = s.changeJob(ctx, tx, id, func(j lockedJob) (lifecycle.Job, error) { return j.Retry(j.now) })
		return err
	})
	return retried, err
}

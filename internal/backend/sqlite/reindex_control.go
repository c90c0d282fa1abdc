package sqlite

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// PauseReindex ends the lease, and has nothing more be written to the space.
func (s *Store) PauseReindex(ctx context.Context, id uuid.UUID) (_ document.Reindex, err error) {
	defer wrapError(&err, "pause reindex %s", id)
	return s.updateReindex(ctx, id, func(tx transaction, r reindex) error {
		switch {
		case r.State == document.JobPaused:
			return nil
		case r.State.Ended():
			return fault.New(fault.Conflict, "reindex %s has ended: it is %s", id, r.State)
		}
		if r.Change != document.ChangeNothing {
			if _, err := tx.ExecContext(ctx, `
				UPDATE spaces SET written = false WHERE tenant = ?1 AND id = ?2`, tx.tenant, r.targetSpace()); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `
			UPDATE reindexes SET state = 'paused', error = '', next_attempt_at = NULL, lease = NULL, lease_until = NULL
			WHERE tenant = ?1 AND id = ?2`, tx.tenant, id)
		return err
	})
}

// ResumeReindex gives a paused or failed reindex a fresh start.
func (s *Store) ResumeReindex(ctx context.Context, id uuid.UUID) (_ document.Reindex, err error) {
	defer wrapError(&err, "resume reindex %s", id)
	return s.updateReindex(ctx, id, func(tx transaction, r reindex) error {
		switch {
		case r.State == document.JobSucceeded, r.State == document.JobCancelled:
			return fault.New(fault.Conflict, "reindex %s has ended: it is %s; begin another", id, r.State)
		case r.State == document.JobFailed:
			if err := checkNoActiveReindex(ctx, tx, r.collection); err != nil {
				return err
			}
			// From the first document on: what is done is not done again.
			r.checkpoint = uuid.Nil
		case r.State != document.JobPaused:
			return nil
		}
		if r.Stage != document.StageReverting {
			r.Stage = document.StageDocuments
		}
		if r.Change != document.ChangeNothing {
			if r, err = reopenTargetSpace(ctx, tx, r); err != nil {
				return err
			}
		}
		return restartReindex(ctx, tx, r)
	})
}

// reopenTargetSpace has the space that the reindex builds be written to again. It may have
// been dropped, and another be live.
func reopenTargetSpace(ctx context.Context, tx transaction, r reindex) (reindex, error) {
	if r.Stage == document.StageReverting {
		if err := checkFormerSpace(ctx, tx, r); err != nil {
			return r, err
		}
		return r, keepSpaceComplete(ctx, tx, r.fromSpace)
	}
	target, err := ensureSpace(ctx, tx, vector.Space{
		CollectionID: r.collection,
		Model:        document.Model{Name: r.Model, Dimensions: r.Dimensions},
		Chunking:     document.Chunking{Tokens: r.Tokens, Overlap: r.Overlap},
	})
	if err != nil {
		return r, err
	}
	if target.ID == r.activeSpace {
		return r, fault.New(fault.Conflict, "what reindex %s was to build answers searches already", r.ID)
	}
	if target.ID != r.toSpace { // what it had done is gone
		r.checkpoint = uuid.Nil
		if err := saveReindexProgress(ctx, tx, r.ID, document.ReindexProgress{}); err != nil {
			return r, err
		}
	}
	r.fromSpace, r.toSpace = r.activeSpace, target.ID
	return r, nil
}

// restartReindex queues a reindex that has stopped. A new round, lest an entry of
// the one before is still in the queue.
func restartReindex(ctx context.Context, tx transaction, r reindex) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE reindexes SET state = 'queued', stage = ?3, from_space = ?4, to_space = ?5, last_document = ?6,
		                     attempt = 0, crashes = 0, round = round + 1, error = '',
		                     dispatched_at = NULL, finished_at = NULL
		WHERE tenant = ?1 AND id = ?2`, tx.tenant, r.ID, r.Stage, r.fromSpace, r.toSpace, r.checkpoint)
	return err
}

// CancelReindex ends the reindex, and leaves the space that it was building.
func (s *Store) CancelReindex(ctx context.Context, id uuid.UUID, keep time.Duration) (_ document.Reindex, err error) {
	defer wrapError(&err, "cancel reindex %s", id)
	return s.updateReindex(ctx, id, func(tx transaction, r reindex) error {
		switch {
		case r.State == document.JobCancelled:
			return nil
		case r.State.Ended():
			return fault.New(fault.Conflict, "reindex %s has ended: it is %s", id, r.State)
		}
		if r.Change != document.ChangeNothing {
			if err := scheduleSpaceDrop(ctx, tx, r.targetSpace(), false, keep); err != nil {
				return err
			}
		}
		if r.Stage != document.StageReverting {
			return endReindex(ctx, tx, id, document.JobCancelled, r.Stage, reasonCancelledOnRequest)
		}
		// It was that of the way back, by the model from before.
		if err := saveReindexProgress(ctx, tx, id, document.ReindexProgress{}); err != nil {
			return err
		}
		return endReindex(ctx, tx, id, document.JobSucceeded, document.StageDone, "")
	})
}

// updateReindex does to a reindex what a client asks for, and returns it as it
// is then.
func (s *Store) updateReindex(ctx context.Context, id uuid.UUID, steer func(tx transaction, r reindex) error) (steered document.Reindex, err error) {
	err = s.inWriteTransaction(ctx, func(tx transaction) error {
		r, err := loadReindex(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := steer(tx, r); err != nil {
			return err
		}
		r, err = loadReindex(ctx, tx, id)
		steered = r.Reindex
		return err
	})
	return steered, err
}

package sqlite

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// PauseReindex ends the lease, and has nothing more be written to the space.
func (s *Store) PauseReindex(ctx context.Context, id uuid.UUID) (_ document.Reindex, err error) {
	defer describe(&err, "pause reindex %s", id)
	return s.steerReindex(ctx, id, func(tx transaction, r reindex) error {
		switch {
		case r.State == document.Paused:
			return nil
		case r.State.Ended():
			return fault.New(fault.Conflict, "reindex %s has ended: it is %s", id, r.State)
		}
		if r.Change != document.ChangeNothing {
			if _, err := tx.ExecContext(ctx, `
				UPDATE spaces SET written = false WHERE tenant = ?1 AND id = ?2`, tx.tenant, r.building()); err != nil {
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
	defer describe(&err, "resume reindex %s", id)
	return s.steerReindex(ctx, id, func(tx transaction, r reindex) error {
		switch {
		case r.State == document.Succeeded, r.State == document.Cancelled:
			return fault.New(fault.Conflict, "reindex %s has ended: it is %s; begin another", id, r.State)
		case r.State == document.JobFailed:
			if err := noneActive(ctx, tx, r.collection); err != nil {
				return err
			}
			// From the first document on: what is done is not done again.
			r.reached = uuid.Nil
		case r.State != document.Paused:
			return nil
		}
		if r.Stage != document.StageReverting {
			r.Stage = document.StageDocuments
		}
		if r.Change != document.ChangeNothing {
			if r, err = reopen(ctx, tx, r); err != nil {
				return err
			}
		}
		return queueReindex(ctx, tx, r)
	})
}

// reopen has the space that the reindex builds be written to again. It may have
// been dropped, and another be live.
func reopen(ctx context.Context, tx transaction, r reindex) (reindex, error) {
	if r.Stage == document.StageReverting {
		if err := checkRevertible(ctx, tx, r); err != nil {
			return r, err
		}
		return r, writeSpace(ctx, tx, r.from)
	}
	target, err := adoptSpace(ctx, tx, document.Space{
		Collection: r.collection,
		Model:      document.Model{Name: r.Model, Dimensions: r.Dimensions},
		Chunking:   document.Chunking{Tokens: r.Tokens, Overlap: r.Overlap},
	})
	if err != nil {
		return r, err
	}
	if target.ID == r.live {
		return r, fault.New(fault.Conflict, "what reindex %s was to build answers searches already", r.ID)
	}
	if target.ID != r.to { // what it had done is gone
		r.reached = uuid.Nil
		if err := saveReindex(ctx, tx, r.ID, document.ReindexProgress{}); err != nil {
			return r, err
		}
	}
	r.from, r.to = r.live, target.ID
	return r, nil
}

// queueReindex queues a reindex that has stopped. A new round, lest an entry of
// the one before is still in the queue.
func queueReindex(ctx context.Context, tx transaction, r reindex) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE reindexes SET state = 'queued', stage = ?3, from_space = ?4, to_space = ?5, reached = ?6,
		                     attempt = 0, crashes = 0, round = round + 1, error = '',
		                     dispatched_at = NULL, finished_at = NULL
		WHERE tenant = ?1 AND id = ?2`, tx.tenant, r.ID, r.Stage, r.from, r.to, r.reached)
	return err
}

// CancelReindex ends the reindex, and leaves the space that it was building.
func (s *Store) CancelReindex(ctx context.Context, id uuid.UUID, keep time.Duration) (_ document.Reindex, err error) {
	defer describe(&err, "cancel reindex %s", id)
	return s.steerReindex(ctx, id, func(tx transaction, r reindex) error {
		switch {
		case r.State == document.Cancelled:
			return nil
		case r.State.Ended():
			return fault.New(fault.Conflict, "reindex %s has ended: it is %s", id, r.State)
		}
		if r.Change != document.ChangeNothing {
			if err := leaveSpace(ctx, tx, r.building(), false, keep); err != nil {
				return err
			}
		}
		if r.Stage != document.StageReverting {
			return endReindex(ctx, tx, id, document.Cancelled, r.Stage, cancelledOnRequest)
		}
		// It was that of the way back, by the model from before.
		if err := saveReindex(ctx, tx, id, document.ReindexProgress{}); err != nil {
			return err
		}
		return endReindex(ctx, tx, id, document.Succeeded, document.StageDone, "")
	})
}

// steerReindex does to a reindex what a client asks for, and returns it as it
// is then.
func (s *Store) steerReindex(ctx context.Context, id uuid.UUID, steer func(tx transaction, r reindex) error) (steered document.Reindex, err error) {
	err = s.write(ctx, func(tx transaction) error {
		r, err := readReindex(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := steer(tx, r); err != nil {
			return err
		}
		r, err = readReindex(ctx, tx, id)
		steered = r.Reindex
		return err
	})
	return steered, err
}

package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// claimReindexTask is claimTask for a reindex.
func claimReindexTask(ctx context.Context, tx transaction, ref task.Ref, ttl time.Duration) (work task.Work, refused, err error) {
	var is lifecycle.Reindex
	if err := changeReindex(ctx, tx, ref.DocumentID, func(r lifecycle.Reindex) (lifecycle.Reindex, error) {
		if ref.Version != 1 {
			return r, lifecycle.TaskNotFound()
		}
		is, err = r.Claim(uuid.New(), ttl, tx.now.time())
		return is, err
	}); err != nil {
		return work, nil, err
	}
	r, err := loadReindex(ctx, tx, is.ID)
	if err != nil {
		return work, nil, err
	}
	if err := tx.exec(ctx, `UPDATE reindexes SET counted_at = ?3 WHERE tenant = ?1 AND id = ?2`, tx.tenant, is.ID, tx.now); err != nil {
		return work, nil, err
	}
	work = task.Work{Ref: ref, JobID: is.ID, Lease: is.Lease, Attempt: is.Attempt, Crashes: is.Crashes, Collection: r.Collection}
	work.Space, err = readSpace(ctx, tx, is.Builds())
	return work, nil, err
}

func renewReindexLease(ctx context.Context, tx transaction, work task.Work, ttl time.Duration) error {
	return tx.exec(ctx, `
		UPDATE reindexes SET lease_until = ?3 WHERE tenant = ?1 AND id = ?2`,
		tx.tenant, work.DocumentID, tx.now.add(ttl))
}

func holdsReindexLease(ctx context.Context, tx transaction, work task.Work) (ours bool, err error) {
	err = tx.QueryRowContext(ctx, `
		SELECT EXISTS (SELECT 1 FROM reindexes WHERE tenant = ?1 AND id = ?2 AND lease = ?3)`,
		tx.tenant, work.DocumentID, work.Lease).Scan(&ours)
	return ours, err
}

// loadLeasedReindex returns the reindex of the work, or fault.LeaseLost.
func loadLeasedReindex(ctx context.Context, tx transaction, work task.Work) (reindex, error) {
	if err := checkLease(ctx, tx, work); err != nil {
		return reindex{}, err
	}
	return loadReindex(ctx, tx, work.DocumentID)
}

// changeReindex saves what becomes of a reindex and of its collection's spaces.
func changeReindex(ctx context.Context, tx transaction, id uuid.UUID, event func(lifecycle.Reindex) (lifecycle.Reindex, error)) error {
	r, err := loadReindex(ctx, tx, id)
	if err != nil {
		return err
	}
	was := r.state
	if was.Collection, err = loadCollection(ctx, tx, r.collection); err != nil {
		return err
	}
	is, err := event(was)
	if err != nil {
		return err
	}
	if err := saveSpaces(ctx, tx, was.Collection, &is.Collection, &is.To); err != nil {
		return err
	}
	progress, err := json.Marshal(is.Progress)
	if err != nil {
		return err
	}
	return tx.exec(ctx, `
		UPDATE reindexes SET (stage, from_space, to_space, last_document, progress, started_at, finished_at,
		                      state, attempt, crashes, round, error, lease, lease_until, next_attempt_at, dispatched_at)
		= (?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)
		WHERE tenant = ?1 AND id = ?2`, append([]any{tx.tenant, id, is.Stage, is.From, is.To, orNull(is.Checkpoint), string(progress),
		instant(is.StartedAt), instant(is.FinishedAt)}, taskValues(is.Task)...)...)
}

// loadCollection returns a collection with its spaces.
func loadCollection(ctx context.Context, tx transaction, id uuid.UUID) (c lifecycle.Collection, err error) {
	c.ID = id
	if c.Active, err = activeSpaceID(ctx, tx, id); err != nil {
		return c, err
	}
	err = tx.QueryRowContext(ctx, `
		SELECT id, state FROM reindexes WHERE tenant = ?1 AND collection = ?2 AND state IN `+lifecycle.ActiveStates, tx.tenant, id).
		Scan(&c.Reindex.ID, &c.Reindex.State)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return c, err
	}
	rows, err := tx.QueryContext(ctx, `
		SELECT s.written, s.drop_after, `+spaceColumns+` FROM spaces s WHERE s.tenant = ?1 AND s.collection = ?2 ORDER BY s.id`, tx.tenant, id)
	c.Spaces, err = collectRows(rows, err, func(row scanner) (s lifecycle.Space, err error) {
		return s, scanSpace(row, &s.Space, &s.Written, (*instant)(&s.DropAfter))
	})
	return c, err
}

// saveSpaces writes what differs between two states of a collection's spaces. A space
// that is made gets its id, also where built is 0.
func saveSpaces(ctx context.Context, tx transaction, was lifecycle.Collection, is *lifecycle.Collection, built *int64) error {
	change := lifecycle.DiffSpaces(was, *is)
	for _, s := range change.Add {
		made, err := addSpace(ctx, tx, s.Space)
		if err != nil {
			return err
		}
		for _, id := range []*int64{&is.Active, built} {
			if *id == 0 {
				*id = made.ID
			}
		}
	}
	for _, s := range change.Update {
		if err := tx.exec(ctx, `UPDATE spaces SET written = ?3, drop_after = ?4 WHERE tenant = ?1 AND id = ?2`,
			tx.tenant, s.ID, s.Written, instant(s.DropAfter)); err != nil {
			return err
		}
		if s.RetryLeftOut {
			if err := tx.exec(ctx, `
				DELETE FROM space_versions WHERE tenant = ?1 AND space = ?2 AND left_out IS NOT NULL`, tx.tenant, s.ID); err != nil {
				return err
			}
		}
	}
	for _, s := range change.Retired {
		if err := tx.exec(ctx, `
			INSERT INTO garbage (tenant, kind, due_at, space) VALUES (?1, 'space', ?2, ?3)`, tx.tenant, instant(s.DropAfter), s.ID); err != nil {
			return err
		}
	}
	if !change.Active {
		return nil
	}
	return setActiveSpace(ctx, tx, is.ID, is.Active)
}

// saveReindexProgress keeps what a reindex has done so far.
func saveReindexProgress(ctx context.Context, tx transaction, id uuid.UUID, progress document.ReindexProgress) error {
	text, err := json.Marshal(progress)
	if err != nil {
		return err
	}
	return tx.exec(ctx, `
		UPDATE reindexes SET progress = ?3 WHERE tenant = ?1 AND id = ?2`, tx.tenant, id, string(text))
}

package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Publishing a version holds a shared lock on the collection's live space, and
// making another space live an exclusive one: every version that became live
// without that space is seen by then in spaces.missed_publications.
const (
	lockPublishingShared    = `SELECT pg_advisory_xact_lock_shared(hashtextextended('space/' || $1::uuid, 0))`
	lockPublishingExclusive = `SELECT pg_advisory_xact_lock(hashtextextended('space/' || $1::uuid, 0))`
)

// activationTries is how often documents are counted before a switch is given up
// because others go on being published without the space.
const activationTries = 3

// errPublishedMeanwhile is the failure of a switch because a version has become live without
// the space since documents were counted.
var errPublishedMeanwhile = errors.New("a document was published without the space")

// ActivateSpace makes the space that a reindex has built the active one, and ends the
// reindex. It counts what is missing without a lock, and holds the lock only to check
// that no document has come to be missing since.
func (s *Store) ActivateSpace(ctx context.Context, work task.Work, keep time.Duration, progress document.ReindexProgress) (err error) {
	defer wrapError(&err, "switch collection %q to space %d", work.Collection, work.Space.ID)
	for range activationTries {
		var r reindex
		var missed int64
		if err := s.inTenant(ctx, func(tx pgx.Tx) (err error) {
			if r, err = lockLeasedReindex(ctx, tx, work); err != nil {
				return err
			}
			if err := r.state.CheckChange(true); err != nil {
				return err
			}
			missed, err = readMissedPublications(ctx, tx, r.state.Collection.ID, r.state.Builds())
			return err
		}); err != nil {
			return err
		}
		found, err := s.countMissing(ctx, r.state.Collection.ID, r.state.Builds())
		switch {
		case err != nil:
			return err
		case found.documents > 0:
			return lifecycle.DocumentsMissing(found.documents, r.state.Builds())
		}
		whole := progress
		whole.AddLeftOut(found.failed.LeftOutCount, found.failed.LeftOut...)
		err = s.inTenant(ctx, func(tx pgx.Tx) error {
			r, err := lockLeasedReindex(ctx, tx, work)
			if err != nil {
				return err
			}
			return s.switchSpace(ctx, tx, r, r.state.ActivateSpace(whole, keep, r.now), missed)
		})
		if !errors.Is(err, errPublishedMeanwhile) {
			return err
		}
	}
	return lifecycle.MissedPublications(work.Space.ID)
}

// readMissedPublications returns how often a version became live without a space that is
// written. It waits for those that may not know yet that it is written: whatever
// it does not count is live when it returns.
func readMissedPublications(ctx context.Context, tx pgx.Tx, collection uuid.UUID, space int64) (missed int64, err error) {
	if _, err := tx.Exec(ctx, lockPublishingExclusive, collection); err != nil {
		return 0, err
	}
	err = tx.QueryRow(ctx, `SELECT missed_publications FROM spaces WHERE id = $1`, space).Scan(&missed)
	return missed, err
}

// switchSpace saves the state of a reindex in which the space that it builds is the active
// one. It returns errPublishedMeanwhile when a version was published without the space
// since missed was read.
//
// The lock that publishing shares comes last: what is done under it does not grow
// with the collection.
func (s *Store) switchSpace(ctx context.Context, tx pgx.Tx, was reindex, is lifecycle.Reindex, missed int64) error {
	before, c := was.state.Collection.Active, is.Collection
	if before != c.Active {
		if _, err := tx.Exec(ctx, setLeftOutStates, c.ID, before, c.Active); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, lockPublishingExclusive, c.ID); err != nil {
			return err
		}
		var now int64
		if err := tx.QueryRow(ctx, `SELECT missed_publications FROM spaces WHERE id = $1 FOR NO KEY UPDATE`, c.Active).Scan(&now); err != nil {
			return err
		}
		if now != missed {
			return errPublishedMeanwhile
		}
	}
	return s.saveReindex(ctx, tx, was, is)
}

// setLeftOutStates has documents of collection $1 whose live version is left out of
// space $3 be failed, and those ready that were failed because it is left out of
// space $2.
const setLeftOutStates = `
	WITH due AS (
		SELECT d.id, CASE WHEN EXISTS (SELECT FROM space_versions p
		                               WHERE p.document = d.id AND p.version = d.published_version AND p.space = $3 AND p.left_out IS NOT NULL)
		                  THEN 'failed' ELSE 'ready' END AS state
		FROM documents d
		WHERE d.id IN (SELECT p.document FROM space_versions p WHERE p.space IN ($2, $3) AND p.left_out IS NOT NULL)
		  AND d.collection = $1 AND d.deleted_at IS NULL AND d.published_version IS NOT NULL
		ORDER BY d.id
		FOR NO KEY UPDATE OF d
	)
	UPDATE documents d SET state = due.state, updated_at = now()
	FROM due
	WHERE d.id = due.id AND d.state <> due.state`

package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// activationTries is how often documents are counted before a switch is given up
// because others go on being published without the space.
const activationTries = 3

// errPublishedMeanwhile is the failure of a switch because a version has become live without
// the space since documents were counted.
var errPublishedMeanwhile = errors.New("a document was published without the space")

// ActivateSpace makes the space that the reindex built the live one, and ends the
// reindex. What is missing is counted beside the writers.
func (s *Store) ActivateSpace(ctx context.Context, work task.Work, keep time.Duration, progress document.ReindexProgress) (err error) {
	defer wrapError(&err, "switch to space %d", work.Space.ID)
	for range activationTries {
		var missed int64
		whole := progress
		if err := s.inReadTransaction(ctx, func(tx transaction) error {
			r, err := loadLeasedReindex(ctx, tx, work)
			if err != nil {
				return err
			}
			if err := r.state.CheckChange(true); err != nil {
				return err
			}
			if missed, err = readMissedPublications(ctx, tx, r.state.Builds()); err != nil {
				return err
			}
			if err := checkSpaceComplete(ctx, tx, r.collection, r.state.Builds()); err != nil {
				return err
			}
			return addFailedToLeftOut(ctx, tx, r, &whole)
		}); err != nil {
			return err
		}
		if err := s.inWriteTransaction(ctx, func(tx transaction) error {
			return switchSpace(ctx, tx, work.DocumentID, work.Space.ID, missed, func(r lifecycle.Reindex) (lifecycle.Reindex, error) {
				return r.ActivateSpace(whole, keep, tx.now.time()), r.CheckLease(work)
			})
		}); !errors.Is(err, errPublishedMeanwhile) {
			return err
		}
	}
	return lifecycle.MissedPublications(work.Space.ID)
}

// switchSpace has a space become the live one by an event, or fails with errMissed when a
// version became live without it since missed was read.
func switchSpace(ctx context.Context, tx transaction, reindex uuid.UUID, space, missed int64, event func(lifecycle.Reindex) (lifecycle.Reindex, error)) error {
	var was lifecycle.Collection
	if err := changeReindex(ctx, tx, reindex, func(r lifecycle.Reindex) (lifecycle.Reindex, error) {
		was = r.Collection
		return event(r)
	}); err != nil {
		return err
	}
	now, err := readMissedPublications(ctx, tx, space)
	if err != nil {
		return err
	}
	if now != missed {
		return errPublishedMeanwhile
	}
	return setLeftOutStates(ctx, tx, was.ID, was.Active, space)
}

// readMissedPublications returns how often a version became live without a space.
func readMissedPublications(ctx context.Context, tx transaction, space int64) (missed int64, err error) {
	err = tx.QueryRowContext(ctx, `SELECT missed_publications FROM spaces WHERE tenant = ?1 AND id = ?2`, tx.tenant, space).Scan(&missed)
	return missed, err
}

// checkSpaceComplete returns fault.Conflict unless every live document of a collection is
// whole in a space.
func checkSpaceComplete(ctx context.Context, tx transaction, collection uuid.UUID, space int64) error {
	missing, _, err := countMissing(ctx, tx, collection, space)
	if err == nil && missing > 0 {
		err = lifecycle.DocumentsMissing(missing, space)
	}
	return err
}

// setLeftOutStates has documents whose live version is left out of the space that is
// live now be failed, and those ready that were failed because it is left out of the
// one before.
func setLeftOutStates(ctx context.Context, tx transaction, collection uuid.UUID, before, now int64) error {
	_, err := tx.ExecContext(ctx, `
		WITH due AS (
			SELECT d.id, iif(EXISTS (SELECT 1 FROM space_versions pl
			                         WHERE pl.tenant = d.tenant AND pl.document = d.id AND pl.version = d.published_version AND pl.space = ?4
			                           AND pl.left_out IS NOT NULL),
			                 'failed', 'ready') AS state
			FROM documents d
			WHERE d.tenant = ?1 AND d.collection = ?2 AND d.deleted_at IS NULL AND d.published_version IS NOT NULL
			  AND d.id IN (SELECT pl.document FROM space_versions pl
			               WHERE pl.tenant = ?1 AND pl.space IN (?3, ?4) AND pl.left_out IS NOT NULL)
		)
		UPDATE documents SET state = due.state, updated_at = ?5
		FROM due
		WHERE documents.tenant = ?1 AND documents.id = due.id AND documents.state <> due.state`,
		tx.tenant, collection, before, now, tx.now)
	return err
}

// addFailedToLeftOut adds to those that are left out the documents of which what was
// uploaded last came to nothing: they were not redone.
func addFailedToLeftOut(ctx context.Context, tx transaction, r reindex, progress *document.ReindexProgress) error {
	documents, err := jsonIDs(r.DocumentIDs)
	if err != nil {
		return err
	}
	var count int64
	rows, err := tx.QueryContext(ctx, `
		SELECT d.id, d.key, t.error, count(*) OVER ()
		FROM documents d
		JOIN tasks t ON t.tenant = d.tenant AND t.document = d.id AND t.version = d.newest_version AND t.kind = 'knowledge' AND t.state = 'failed'
		WHERE d.tenant = ?1 AND d.collection = ?2 AND d.deleted_at IS NULL
		  AND substr(d.key, 1, length(?3)) = ?3
		  AND (json_array_length(?4) = 0 OR d.id IN (SELECT value FROM json_each(?4)))
		  AND d.published_version IS NOT d.newest_version
		ORDER BY d.id
		LIMIT ?5`, tx.tenant, r.collection, r.KeyPrefix, documents, document.MaxLeftOut)
	failed, err := collectRows(rows, err, func(row scanner) (l document.LeftOut, err error) {
		return l, row.Scan(&l.DocumentID, &l.Key, &l.Error, &count)
	})
	if err == nil {
		progress.AddLeftOut(count, failed...)
	}
	return err
}

package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// switchTries is how often documents are counted before a switch is given up
// because others go on being published without the space.
const switchTries = 3

// errMissed is the failure of a switch because a version has become live without
// the space since documents were counted.
var errMissed = errors.New("a document was published without the space")

// Switch makes the space that the reindex built the live one, and ends the
// reindex. What is missing is counted beside the writers.
func (s *Store) Switch(ctx context.Context, work document.Work, keep time.Duration, progress document.ReindexProgress) (err error) {
	defer describe(&err, "switch to space %d", work.Space.ID)
	for range switchTries {
		var missed int64
		whole := progress
		if err := s.read(ctx, func(tx transaction) error {
			r, err := heldReindex(ctx, tx, work)
			if err != nil {
				return err
			}
			if r.Change == document.ChangeNothing {
				return changesNothing(r)
			}
			if missed, err = readMissed(ctx, tx, r.building()); err != nil {
				return err
			}
			if err := checkPlaced(ctx, tx, r); err != nil {
				return err
			}
			return leaveOutFailed(ctx, tx, r, &whole)
		}); err != nil {
			return err
		}
		if err := s.write(ctx, func(tx transaction) error {
			r, err := heldReindex(ctx, tx, work)
			if err != nil {
				return err
			}
			if err := saveReindex(ctx, tx, r.ID, whole); err != nil {
				return err
			}
			if r.Stage == document.StageReverting {
				return revert(ctx, tx, r, missed, keep)
			}
			if err := setLive(ctx, tx, r, missed, true, keep); err != nil {
				return err
			}
			return endReindex(ctx, tx, r.ID, document.Succeeded, document.StageDone, "")
		}); !errors.Is(err, errMissed) {
			return err
		}
	}
	return fault.New(fault.Conflict, "documents go on being published without space %d", work.Space.ID)
}

// readMissed returns how often a version became live without a space.
func readMissed(ctx context.Context, tx transaction, space int64) (missed int64, err error) {
	err = tx.QueryRowContext(ctx, `SELECT missed FROM spaces WHERE tenant = ?1 AND id = ?2`, tx.tenant, space).Scan(&missed)
	return missed, err
}

// checkPlaced returns fault.Conflict unless every live document is whole in the
// space that the reindex builds.
func checkPlaced(ctx context.Context, tx transaction, r reindex) error {
	missing, _, err := countUnplaced(ctx, tx, r.collection, r.building())
	if err == nil && missing > 0 {
		err = fault.New(fault.Conflict, "%d documents are not whole in the new space yet", missing)
	}
	return err
}

// setLive has the space that the reindex built answer searches, or fails with
// errMissed when a version became live without it since missed was read. The space
// that answered them is left: written to, or not.
func setLive(ctx context.Context, tx transaction, r reindex, missed int64, written bool, keep time.Duration) error {
	now, err := readMissed(ctx, tx, r.building())
	if err != nil {
		return err
	}
	if now != missed {
		return errMissed
	}
	if err := leaveSpace(ctx, tx, r.live, written, keep); err != nil {
		return err
	}
	if err := writeSpace(ctx, tx, r.building()); err != nil {
		return err
	}
	if err := setLiveSpace(ctx, tx, r.collection, r.building()); err != nil {
		return err
	}
	return setLeftOutStates(ctx, tx, r)
}

// setLeftOutStates has documents whose live version is left out of the space that
// the reindex built be failed, and those ready that were failed because it is left
// out of the one that was live.
func setLeftOutStates(ctx context.Context, tx transaction, r reindex) error {
	_, err := tx.ExecContext(ctx, `
		WITH due AS (
			SELECT d.id, iif(EXISTS (SELECT 1 FROM placements pl
			                         WHERE pl.tenant = d.tenant AND pl.document = d.id AND pl.version = d.live_version AND pl.space = ?4
			                           AND pl.left_out IS NOT NULL),
			                 'failed', 'ready') AS state
			FROM documents d
			WHERE d.tenant = ?1 AND d.collection = ?2 AND d.deleted_at IS NULL AND d.live_version IS NOT NULL
			  AND d.id IN (SELECT pl.document FROM placements pl
			               WHERE pl.tenant = ?1 AND pl.space IN (?3, ?4) AND pl.left_out IS NOT NULL)
		)
		UPDATE documents SET state = due.state, updated_at = ?5
		FROM due
		WHERE documents.tenant = ?1 AND documents.id = due.id AND documents.state <> due.state`,
		tx.tenant, r.collection, r.live, r.building(), tx.now)
	return err
}

// leaveOutFailed adds to those that are left out the documents of which what was
// uploaded last came to nothing: they were not redone.
func leaveOutFailed(ctx context.Context, tx transaction, r reindex, progress *document.ReindexProgress) error {
	documents, err := documentList(r.Documents)
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
		  AND d.live_version IS NOT d.newest_version
		ORDER BY d.id
		LIMIT ?5`, tx.tenant, r.collection, r.KeyPrefix, documents, document.MaxLeftOut)
	failed, err := collect(rows, err, func(row scanner) (l document.LeftOut, err error) {
		return l, row.Scan(&l.Document, &l.Key, &l.Error, &count)
	})
	if err == nil {
		progress.LeaveOut(count, failed...)
	}
	return err
}

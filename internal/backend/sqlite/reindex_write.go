package sqlite

import (
	"context"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// WriteToSpace stores what a reindex built.
func (s *Store) WriteToSpace(ctx context.Context, work task.Work, rebuilt rebuild.SpaceWrite, progress document.ReindexProgress) (err error) {
	defer wrapError(&err, "place %d new passages and %d versions in space %d", len(rebuilt.New), len(rebuilt.Versions), work.Space.ID)
	return s.inWriteTransaction(ctx, func(tx transaction) error {
		if err := checkLease(ctx, tx, work); err != nil {
			return err
		}
		if err := insertPassages(ctx, tx, work.Space, rebuilt.New); err != nil {
			return err
		}
		for _, places := range rebuilt.Versions {
			if err := writeSpaceVersion(ctx, tx, work.Space, places); err != nil {
				return err
			}
		}
		if err := insertUnplacedGarbage(ctx, tx, work.Space.ID, rebuilt.New); err != nil {
			return err
		}
		if len(rebuilt.New) > 0 || rebuilt.Checkpoint != uuid.Nil {
			if err := advanceReindex(ctx, tx, work.DocumentID, rebuilt.Checkpoint); err != nil {
				return err
			}
		}
		return saveReindexProgress(ctx, tx, work.DocumentID, progress)
	})
}

// writeSpaceVersion writes places of a version, unless it is not the live one of its
// document any more.
func writeSpaceVersion(ctx context.Context, tx transaction, space vector.Space, rebuilt rebuild.VersionWrite) error {
	var live bool
	if err := tx.QueryRowContext(ctx, `
		SELECT EXISTS (SELECT 1 FROM documents
		               WHERE tenant = ?1 AND id = ?2 AND published_version = ?3 AND deleted_at IS NULL)`,
		tx.tenant, rebuilt.DocumentID, rebuilt.Version).Scan(&live); err != nil || !live {
		return err
	}
	of := versionKey{rebuilt.DocumentID, rebuilt.Version}
	if rebuilt.TotalEntries == 0 || len(rebuilt.Entries) > 0 && rebuilt.Entries[0].Ordinal == 0 {
		if err := deleteSpaceVersion(ctx, tx, of, space); err != nil {
			return err
		}
	}
	if err := insertManifest(ctx, tx, of, space, rebuilt.Entries); err != nil || rebuilt.TotalEntries < 0 {
		return err
	}
	return insertSpaceVersion(ctx, tx, of, vector.SpaceVersion{SpaceID: space.ID, Passages: rebuilt.TotalEntries, Warnings: rebuilt.Warnings}, rebuilt.LeftOutReason)
}

// insertUnplacedGarbage lists new passages that have no place: those of a unit that could
// not be embedded whole, and those of a version that is not published any more.
func insertUnplacedGarbage(ctx context.Context, tx transaction, space int64, passages []vector.EmbeddedPassage) error {
	hashes := make([]document.ContentHash, len(passages))
	for i, p := range passages {
		hashes[i] = p.Hash
	}
	wanted, err := jsonHashes(hashes)
	if err != nil {
		return err
	}
	rows, err := tx.QueryContext(ctx, `
		SELECT p.hash
		FROM json_each(?3) wanted
		CROSS JOIN passages p ON p.tenant = ?1 AND p.space = ?2 AND p.hash = unhex(wanted.value)
		WHERE NOT EXISTS (SELECT 1 FROM manifest m WHERE m.passage = p.id)`, tx.tenant, space, wanted)
	unplaced, err := collectRows(rows, err, scanHash)
	if err != nil {
		return err
	}
	return insertGarbagePassages(ctx, tx, space, unplaced)
}

// deleteSpaceVersion removes what was placed of a version in a space.
func deleteSpaceVersion(ctx context.Context, tx transaction, of versionKey, space vector.Space) error {
	if _, err := tx.ExecContext(ctx, `
		DELETE FROM space_versions WHERE tenant = ?1 AND document = ?2 AND version = ?3 AND space = ?4`,
		tx.tenant, of.document, of.number, space.ID); err != nil {
		return err
	}
	_, err := deleteManifestEntries(ctx, tx, of, space.ID, noLimit, versionKey{})
	return err
}

// advanceReindex notes the last document that a reindex is done with, if any is. This
// attempt has got somewhere, so those before it no longer count.
func advanceReindex(ctx context.Context, tx transaction, id, reached uuid.UUID) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE reindexes SET last_document = iif(?3 = ?4, last_document, ?3), attempt = 1, crashes = 0
		WHERE tenant = ?1 AND id = ?2`, tx.tenant, id, reached, uuid.Nil)
	return err
}

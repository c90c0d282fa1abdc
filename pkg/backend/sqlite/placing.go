package sqlite

import (
	"context"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Place stores what a reindex built.
func (s *Store) Place(ctx context.Context, work document.Work, rebuilt document.Rebuilt, progress document.ReindexProgress) (err error) {
	defer describe(&err, "place %d new passages and %d versions in space %d", len(rebuilt.New), len(rebuilt.Places), work.Space.ID)
	return s.write(ctx, func(tx transaction) error {
		if err := checkLease(ctx, tx, work); err != nil {
			return err
		}
		if err := addPassages(ctx, tx, work.Space, rebuilt.New); err != nil {
			return err
		}
		for _, places := range rebuilt.Places {
			if err := placeVersion(ctx, tx, work.Space, places); err != nil {
				return err
			}
		}
		if err := listUnplaced(ctx, tx, work.Space.ID, rebuilt.New); err != nil {
			return err
		}
		if len(rebuilt.New) > 0 || rebuilt.Reached != uuid.Nil {
			if err := advance(ctx, tx, work.Document, rebuilt.Reached); err != nil {
				return err
			}
		}
		return saveReindex(ctx, tx, work.Document, progress)
	})
}

// placeVersion writes places of a version, unless it is not the live one of its
// document any more.
func placeVersion(ctx context.Context, tx transaction, space document.Space, rebuilt document.RebuiltPlaces) error {
	var live bool
	if err := tx.QueryRowContext(ctx, `
		SELECT EXISTS (SELECT 1 FROM documents
		               WHERE tenant = ?1 AND id = ?2 AND live_version = ?3 AND deleted_at IS NULL)`,
		tx.tenant, rebuilt.Document, rebuilt.Version).Scan(&live); err != nil || !live {
		return err
	}
	of := version{rebuilt.Document, rebuilt.Version}
	if rebuilt.Whole == 0 || len(rebuilt.Places) > 0 && rebuilt.Places[0].Ordinal == 0 {
		if err := removePlaces(ctx, tx, of, space); err != nil {
			return err
		}
	}
	if err := addPlaces(ctx, tx, of, space, rebuilt.Places); err != nil || rebuilt.Whole < 0 {
		return err
	}
	return addPlacement(ctx, tx, of, document.Placement{Space: space.ID, Passages: rebuilt.Whole, Warnings: rebuilt.Warnings}, rebuilt.LeftOut)
}

// listUnplaced lists new passages that have no place: those of a unit that could
// not be embedded whole, and those of a version that is not published any more.
func listUnplaced(ctx context.Context, tx transaction, space int64, passages []document.Embedded) error {
	hashes := make([]document.Hash, len(passages))
	for i, p := range passages {
		hashes[i] = p.Hash
	}
	wanted, err := hashList(hashes)
	if err != nil {
		return err
	}
	rows, err := tx.QueryContext(ctx, `
		SELECT p.hash
		FROM json_each(?3) wanted
		CROSS JOIN passages p ON p.tenant = ?1 AND p.space = ?2 AND p.hash = unhex(wanted.value)
		WHERE NOT EXISTS (SELECT 1 FROM manifest m WHERE m.passage = p.id)`, tx.tenant, space, wanted)
	unplaced, err := collect(rows, err, scanHash)
	if err != nil {
		return err
	}
	return listPassages(ctx, tx, space, unplaced)
}

// removePlaces removes what was placed of a version in a space.
func removePlaces(ctx context.Context, tx transaction, of version, space document.Space) error {
	if _, err := tx.ExecContext(ctx, `
		DELETE FROM placements WHERE tenant = ?1 AND document = ?2 AND version = ?3 AND space = ?4`,
		tx.tenant, of.document, of.number, space.ID); err != nil {
		return err
	}
	_, err := deletePlaces(ctx, tx, of, space.ID, allPlaces, version{})
	return err
}

// advance notes the last document that a reindex is done with, if any is. This
// attempt has got somewhere, so those before it no longer count.
func advance(ctx context.Context, tx transaction, id, reached uuid.UUID) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE reindexes SET reached = iif(?3 = ?4, reached, ?3), attempt = 1, crashes = 0
		WHERE tenant = ?1 AND id = ?2`, tx.tenant, id, reached, uuid.Nil)
	return err
}

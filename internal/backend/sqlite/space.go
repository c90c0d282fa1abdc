package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/vector"
)

// IndexSpace does nothing: SQLite compares every vector, whatever their number.
func (s *Store) IndexSpace(context.Context, vector.Space, int) error { return nil }

// MoveSpaceToOwnTable does nothing: SQLite has one table for the passages of all spaces.
func (s *Store) MoveSpaceToOwnTable(context.Context, vector.Space) error { return nil }

// GrownSpaces returns nothing, since MoveSpace and IndexSpace do nothing.
func (s *Store) GrownSpaces(context.Context, vector.Maintenance, int) ([]vector.Space, error) {
	return nil, nil
}

// GrownSpacesAfter returns nothing, as Grown.
func (s *Store) GrownSpacesAfter(context.Context, vector.Maintenance, int, int64, int) ([]vector.Space, int64, error) {
	return nil, 0, nil
}

// spaceColumns are what scanSpace scans.
const spaceColumns = `s.id, s.collection, s.model, s.dimensions, s.chunk_tokens, s.chunk_overlap`

// scanSpace scans spaceColumns, and what comes before them into others.
func scanSpace(row scanner, space *vector.Space, before ...any) error {
	return row.Scan(append(before, &space.ID, &space.CollectionID, &space.Model.Name, &space.Model.Dimensions,
		&space.Chunking.Tokens, &space.Chunking.Overlap)...)
}

func readSpace(ctx context.Context, tx transaction, id int64) (space vector.Space, err error) {
	return space, scanSpace(tx.QueryRowContext(ctx, `
		SELECT `+spaceColumns+` FROM spaces s WHERE s.tenant = ?1 AND s.id = ?2`, tx.tenant, id), &space)
}

// readOtherSpaces returns the spaces of a collection that are kept complete besides
// the live one; nil when there is none.
func readOtherSpaces(ctx context.Context, tx transaction, live vector.Space) ([]vector.Space, error) {
	rows, err := tx.QueryContext(ctx, `
		SELECT `+spaceColumns+`
		FROM spaces s
		WHERE s.tenant = ?1 AND s.collection = ?2 AND s.id <> ?3 AND s.written AND coalesce(s.drop_after > ?4, true)
		ORDER BY s.id`, tx.tenant, live.CollectionID, live.ID, tx.now)
	also, err := collectRows(rows, err, func(row scanner) (space vector.Space, err error) {
		return space, scanSpace(row, &space)
	})
	if len(also) == 0 {
		return nil, err
	}
	return also, err
}

// addSpace makes a space, empty, which is written to. Its id is like none before:
// SQLite would give it that of the last one when that was dropped, and reindexes
// go on naming what was dropped.
func addSpace(ctx context.Context, tx transaction, space vector.Space) (vector.Space, error) {
	if err := lifecycle.CheckModel(space.Model); err != nil {
		return space, err
	}
	err := tx.QueryRowContext(ctx, `
		INSERT INTO spaces (id, tenant, collection, model, dimensions, chunk_tokens, chunk_overlap, created_at)
		SELECT 1 + max((SELECT coalesce(max(id), 0) FROM spaces),
		               (SELECT coalesce(max(max(from_space, to_space)), 0) FROM reindexes)),
		       ?1, ?2, ?3, ?4, ?5, ?6, ?7
		RETURNING id`, tx.tenant, space.CollectionID, space.Model.Name, space.Model.Dimensions,
		space.Chunking.Tokens, space.Chunking.Overlap, tx.now).Scan(&space.ID)
	return space, err
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

// countMissing returns how many live documents of a collection are not placed
// whole in a space, and the bytes of their originals.
func countMissing(ctx context.Context, tx transaction, collection uuid.UUID, space int64) (documents, bytes int64, err error) {
	err = tx.QueryRowContext(ctx, `
		SELECT count(*), coalesce(sum(v.size), 0)`+fromMissingVersions, tx.tenant, collection, space).
		Scan(&documents, &bytes)
	return documents, bytes, err
}

// fromMissingVersions are the live documents d of the collection ?2 whose live
// version v is not placed whole in the space ?3.
const fromMissingVersions = `
	FROM documents d
	JOIN versions v ON v.tenant = d.tenant AND v.document = d.id AND v.version = d.published_version
	WHERE d.tenant = ?1 AND d.collection = ?2 AND d.deleted_at IS NULL
	  AND NOT EXISTS (SELECT 1 FROM space_versions pl
	                  WHERE pl.tenant = d.tenant AND pl.document = d.id AND pl.version = d.published_version AND pl.space = ?3)
`

// isSpaceVersionWhole is whether all places of a space version pl are there, with their
// passages.
const isSpaceVersionWhole = `pl.passages = (
	SELECT count(*) FROM manifest m
	CROSS JOIN passages p ON p.id = m.passage AND p.tenant = m.tenant AND p.space = m.space
	WHERE m.tenant = pl.tenant AND m.document = pl.document AND m.version = pl.version AND m.space = pl.space)`

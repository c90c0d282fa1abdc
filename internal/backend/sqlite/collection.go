package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// EnsureCollection returns the collection of that name, made on first use.
func (s *Store) EnsureCollection(ctx context.Context, name string, model document.Model, chunking document.Chunking) (c vector.Collection, err error) {
	defer wrapError(&err, "ensure collection %q", name)
	err = s.inWriteTransaction(ctx, func(tx transaction) error {
		c, err = readCollection(ctx, tx, name)
		if !fault.Is(err, fault.NotFound) {
			return err
		}
		if err := s.checkCollectionLimit(ctx, tx, name); err != nil {
			return err
		}
		c, err = addCollection(ctx, tx, name, model, chunking)
		return err
	})
	return c, err
}

// Collection returns the collection of that name, or fault.NotFound.
func (s *Store) Collection(ctx context.Context, name string) (c vector.Collection, err error) {
	defer wrapError(&err, "collection %q", name)
	err = s.inReadTransaction(ctx, func(tx transaction) error {
		c, err = readCollection(ctx, tx, name)
		return err
	})
	return c, err
}

// AllCollections returns every collection, by name.
func (s *Store) AllCollections(ctx context.Context) (collections []vector.Collection, err error) {
	defer wrapError(&err, "list collections")
	err = s.inReadTransaction(ctx, func(tx transaction) error {
		rows, err := tx.QueryContext(ctx, selectCollections+`
			WHERE c.tenant = ?1
			ORDER BY c.name`, tx.tenant)
		collections, err = collectRows(rows, err, scanCollection)
		return err
	})
	return collections, err
}

// Collections lists collections, newest first.
func (s *Store) Collections(ctx context.Context, page document.Page) (list document.List[vector.Collection], err error) {
	defer wrapError(&err, "list collections")
	before := uuid.Max
	if err := decodeCursor("collections", page, &before); err != nil {
		return list, err
	}
	err = s.inReadTransaction(ctx, func(tx transaction) error {
		rows, err := tx.QueryContext(ctx, selectCollections+`
			WHERE c.tenant = ?1 AND c.id < ?2
			ORDER BY c.id DESC
			LIMIT ?3`, tx.tenant, before, page.Limit+1)
		collections, err := collectRows(rows, err, scanCollection)
		if err != nil {
			return err
		}
		list, err = cutPage("collections", collections, page.Limit, func(c vector.Collection) any { return c.ID })
		return err
	})
	return list, err
}

// SetSummaryMode sets when documents of a collection are summarised.
func (s *Store) SetSummaryMode(ctx context.Context, name string, mode document.SummaryMode) (c vector.Collection, err error) {
	defer wrapError(&err, "set summaries of collection %q", name)
	err = s.inWriteTransaction(ctx, func(tx transaction) error {
		if _, err := tx.ExecContext(ctx, `
			UPDATE collections SET summaries = ?3 WHERE tenant = ?1 AND name = ?2`, tx.tenant, name, mode); err != nil {
			return err
		}
		c, err = readCollection(ctx, tx, name)
		return err
	})
	return c, err
}

func readCollection(ctx context.Context, tx transaction, name string) (vector.Collection, error) {
	c, err := scanCollection(tx.QueryRowContext(ctx, selectCollections+`
		WHERE c.tenant = ?1 AND c.name = ?2`, tx.tenant, name))
	if errors.Is(err, sql.ErrNoRows) {
		err = fault.New(fault.NotFound, "there is no collection %q", name)
	}
	return c, err
}

const selectCollections = `
	SELECT c.id, c.name, coalesce(c.summaries, ''), ` + isReplaceable + `, ` + spaceColumns + `
	FROM collections c
	JOIN spaces s ON s.tenant = c.tenant AND s.id = c.active_space
`

// scanCollection scans a row of selectCollections.
func scanCollection(row scanner) (c vector.Collection, err error) {
	return c, scanSpace(row, &c.ActiveSpace, &c.ID, &c.Name, &c.Summaries, &c.SpaceReplaceable)
}

// checkCollectionLimit returns fault.Conflict when the tenant may have no more
// collections. Triggers keep count.
func (s *Store) checkCollectionLimit(ctx context.Context, tx transaction, name string) error {
	if s.maxCollections == 0 {
		return nil
	}
	var have int
	err := tx.QueryRowContext(ctx, `SELECT collections FROM tenants WHERE id = ?1`, tx.tenant).Scan(&have)
	if err == nil && have >= s.maxCollections {
		return fault.New(fault.Conflict, vector.TooManyCollectionsDetail, name, s.maxCollections)
	}
	return err
}

func addCollection(ctx context.Context, tx transaction, name string, model document.Model, chunking document.Chunking) (vector.Collection, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return vector.Collection{}, err
	}
	c := vector.Collection{ID: id, Name: name, SpaceReplaceable: true}

	// The space that the collection refers to follows in this transaction.
	if _, err := tx.ExecContext(ctx, `
		INSERT INTO collections (tenant, id, name, active_space, created_at)
		VALUES (?1, ?2, ?3, 0, ?4)`, tx.tenant, id, name, tx.now); err != nil {
		return c, err
	}
	c.ActiveSpace, err = addSpace(ctx, tx, vector.Space{CollectionID: id, Model: model, Chunking: chunking})
	if err != nil {
		return c, err
	}
	return c, setActiveSpace(ctx, tx, id, c.ActiveSpace.ID)
}

// setActiveSpace has a space answer its collection's searches from now on.
func setActiveSpace(ctx context.Context, tx transaction, collection uuid.UUID, space int64) error {
	_, err := tx.ExecContext(ctx, `
		UPDATE collections SET active_space = ?3 WHERE tenant = ?1 AND id = ?2`, tx.tenant, collection, space)
	return err
}

// activeSpaceID returns the space that answers a collection's searches, or 0 when
// there is no such collection.
func activeSpaceID(ctx context.Context, tx transaction, collection uuid.UUID) (live int64, err error) {
	err = tx.QueryRowContext(ctx, `
		SELECT active_space FROM collections WHERE tenant = ?1 AND id = ?2`, tx.tenant, collection).Scan(&live)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return live, err
}

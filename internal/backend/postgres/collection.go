package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// EnsureCollection returns the collection of that name, made on first use.
func (s *Store) EnsureCollection(ctx context.Context, name string, model document.Model, chunking document.Chunking) (c vector.Collection, err error) {
	defer wrapError(&err, "ensure collection %q", name)
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		c, err = readCollection(ctx, tx, name)
		if !fault.Is(err, fault.NotFound) {
			return err
		}
		if err := s.addCollection(ctx, tx, name, model, chunking); err != nil {
			return err
		}
		c, err = readCollection(ctx, tx, name)
		return err
	})
	return c, err
}

// Collection returns the collection of that name.
func (s *Store) Collection(ctx context.Context, name string) (c vector.Collection, err error) {
	defer wrapError(&err, "collection %q", name)
	err = s.inOneTrip(ctx, func(batch *pgx.Batch) {
		batch.Queue(selectCollectionByName, name).QueryRow(func(row pgx.Row) error {
			c, err = scanCollectionByName(row, name)
			return err
		})
	})
	return c, err
}

const selectCollectionByName = selectCollections + `
	WHERE c.name = $1`

func readCollection(ctx context.Context, tx pgx.Tx, name string) (vector.Collection, error) {
	return scanCollectionByName(tx.QueryRow(ctx, selectCollectionByName, name), name)
}

// scanCollectionByName reads the collection of a name, if there is one.
func scanCollectionByName(row pgx.Row, name string) (vector.Collection, error) {
	c, err := scanCollection(row)
	if isNoRows(err) {
		return vector.Collection{}, fault.New(fault.NotFound, "there is no collection %q", name)
	}
	return c, err
}

// selectCollections is followed by a WHERE or an ORDER BY and read by
// scanCollection.
const selectCollections = `
	SELECT c.id, c.name, coalesce(c.summaries, ''), ` + isReplaceable + `, ` + spaceColumns + `
	FROM collections c
	JOIN spaces s ON s.id = c.active_space`

func scanCollection(row pgx.Row) (c vector.Collection, err error) {
	err = row.Scan(append([]any{&c.ID, &c.Name, &c.Summaries, &c.SpaceReplaceable}, spaceFields(&c.ActiveSpace)...)...)
	return c, err
}

// SetSummaryMode sets when documents of a collection are summarised.
func (s *Store) SetSummaryMode(ctx context.Context, name string, mode document.SummaryMode) (c vector.Collection, err error) {
	defer wrapError(&err, "set summaries of collection %q", name)
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE collections SET summaries = $2 WHERE name = $1`, name, mode); err != nil {
			return err
		}
		c, err = readCollection(ctx, tx, name)
		return err
	})
	return c, err
}

// AllCollections returns every collection, by name.
func (s *Store) AllCollections(ctx context.Context) (collections []vector.Collection, err error) {
	defer wrapError(&err, "list collections")
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		collections, err = queryAll(ctx, tx, func(row pgx.CollectableRow) (vector.Collection, error) { return scanCollection(row) },
			selectCollections+`
			ORDER BY c.name COLLATE "C"`)
		return err
	})
	return collections, err
}

// Collections lists collections, newest first.
func (s *Store) Collections(ctx context.Context, page document.Page) (list document.List[vector.Collection], err error) {
	defer wrapError(&err, "list collections")
	before, err := decodeCursor(page, cursorCollections, uuid.Max)
	if err != nil {
		return list, err
	}
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		collections, err := queryAll(ctx, tx, func(row pgx.CollectableRow) (vector.Collection, error) { return scanCollection(row) },
			selectCollections+`
			WHERE c.id < $1
			ORDER BY c.id DESC
			LIMIT $2`, before, page.Limit+1)
		list = cutPage(collections, page.Limit, func(last vector.Collection) string { return encodeCursor(cursorCollections, last.ID) })
		return err
	})
	return list, err
}

// addCollection makes a collection with its space, unless another transaction
// does: that one is waited for.
func (s *Store) addCollection(ctx context.Context, tx pgx.Tx, name string, model document.Model, chunking document.Chunking) error {
	// At the limit nothing is written. What is made beside this is counted below.
	if err := s.checkCollectionLimit(ctx, tx, name, s.maxCollections-1); err != nil {
		if _, absent := readCollection(ctx, tx, name); absent == nil { // another transaction has made it
			return nil
		}
		return err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, `
		INSERT INTO collections (id, name) VALUES ($1, $2)
		ON CONFLICT (tenant, name) DO NOTHING`, id, name)
	if err != nil || tag.RowsAffected() == 0 {
		return err
	}
	if err := s.checkCollectionLimit(ctx, tx, name, s.maxCollections); err != nil {
		return err
	}
	space, err := addSpace(ctx, tx, vector.Space{CollectionID: id, Model: model, Chunking: chunking})
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE collections SET active_space = $2 WHERE id = $1`, id, space)
	return err
}

// checkCollectionLimit returns fault.Conflict when the tenant has more than most
// collections. A trigger keeps count, in a row that is locked from the insertion
// of a collection to the end of its transaction.
func (s *Store) checkCollectionLimit(ctx context.Context, tx pgx.Tx, name string, most int) error {
	if s.maxCollections == 0 {
		return nil
	}
	var have int
	err := tx.QueryRow(ctx, `SELECT collections FROM collection_counts`).Scan(&have)
	if err == nil && have > most {
		return fault.New(fault.Conflict, vector.TooManyCollectionsDetail, name, s.maxCollections)
	}
	if isNoRows(err) {
		return nil
	}
	return err
}

package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// maxDimensions is the most that a halfvec holds.
const maxDimensions = 16000

// EnsureCollection returns the collection of that name, made on first use.
func (s *Store) EnsureCollection(ctx context.Context, name string, model document.Model, chunking document.Chunking) (c document.Collection, err error) {
	defer describe(&err, "ensure collection %q", name)
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		c, err = collection(ctx, tx, name)
		if !fault.Is(err, fault.NotFound) {
			return err
		}
		if err := addCollection(ctx, tx, name, model, chunking); err != nil {
			return err
		}
		c, err = collection(ctx, tx, name)
		return err
	})
	return c, err
}

// Collection returns the collection of that name.
func (s *Store) Collection(ctx context.Context, name string) (c document.Collection, err error) {
	defer describe(&err, "collection %q", name)
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		c, err = collection(ctx, tx, name)
		return err
	})
	return c, err
}

func collection(ctx context.Context, tx pgx.Tx, name string) (document.Collection, error) {
	c := document.Collection{Name: name}
	err := tx.QueryRow(ctx, `
		SELECT c.id, s.id, s.model, s.dimensions, s.chunk_tokens, s.chunk_overlap
		FROM collections c
		JOIN spaces s ON s.id = c.live_space
		WHERE c.name = $1`, name).
		Scan(&c.ID, &c.Space.ID, &c.Space.Model.Name, &c.Space.Model.Dimensions,
			&c.Space.Chunking.Tokens, &c.Space.Chunking.Overlap)
	if isNoRows(err) {
		return document.Collection{}, fault.New(fault.NotFound, "there is no collection %q", name)
	}
	c.Space.Collection = c.ID
	return c, err
}

// addCollection makes a collection with its space, unless another transaction
// does: that one is waited for.
func addCollection(ctx context.Context, tx pgx.Tx, name string, model document.Model, chunking document.Chunking) error {
	if model.Dimensions < 1 || model.Dimensions > maxDimensions {
		return fault.New(fault.BadRequest, "model %q has vectors of %d dimensions; 1 to %d can be stored", model.Name, model.Dimensions, maxDimensions)
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
	var space int64
	if err := tx.QueryRow(ctx, `
		INSERT INTO spaces (collection, model, dimensions, chunk_tokens, chunk_overlap)
		VALUES ($1, $2, $3, $4, $5)
		RETURNING id`, id, model.Name, model.Dimensions, chunking.Tokens, chunking.Overlap).Scan(&space); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `SELECT add_partition($1)`, space); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE collections SET live_space = $2 WHERE id = $1`, id, space)
	return err
}

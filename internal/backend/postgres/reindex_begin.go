package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// BeginReindex writes a reindex of a collection, and makes the space that it
// is to build.
func (s *Store) BeginReindex(ctx context.Context, request document.ReindexRequest) (begun document.Reindex, err error) {
	defer wrapError(&err, "begin a reindex of collection %q", request.Collection)
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		was, err := lockCollection(ctx, tx, `c.name = $1`, request.Collection)
		if err != nil {
			return err
		}
		if was.ID == uuid.Nil {
			return lifecycle.CollectionNotFound(request.Collection)
		}
		if err := checkDocumentsExist(ctx, tx, was.ID, request); err != nil {
			return err
		}
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		r, err := was.Begin(id, request, was.now)
		if err != nil {
			return err
		}
		if err := saveSpaces(ctx, tx, was.Collection, &r.Collection, &r.To); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `
			INSERT INTO reindexes (id, collection, change, from_space, to_space, model, dimensions, chunk_tokens, chunk_overlap,
			                       key_prefix, documents, force)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
			id, was.ID, r.Change, r.From, r.To, r.Wanted.Model.Name, r.Wanted.Model.Dimensions, r.Wanted.Chunking.Tokens, r.Wanted.Chunking.Overlap,
			request.KeyPrefix, append([]uuid.UUID{}, request.DocumentIDs...), r.Force); err != nil {
			return err
		}
		begun, err = readReindex(ctx, tx, id)
		return err
	})
	return begun, err
}

// checkDocumentsExist returns fault.NotFound unless all documents that a request names are
// in its collection.
func checkDocumentsExist(ctx context.Context, tx pgx.Tx, collection uuid.UUID, request document.ReindexRequest) error {
	if len(request.DocumentIDs) == 0 {
		return nil
	}
	var missing uuid.UUID
	err := tx.QueryRow(ctx, `
		SELECT id
		FROM unnest($2::uuid[]) AS wanted (id)
		WHERE NOT EXISTS (SELECT FROM documents d WHERE d.id = wanted.id AND d.collection = $1 AND d.deleted_at IS NULL)
		LIMIT 1`, collection, request.DocumentIDs).Scan(&missing)
	if isNoRows(err) {
		return nil
	}
	if err == nil {
		err = fault.New(fault.NotFound, "there is no document %s in collection %q", missing, request.Collection)
	}
	return err
}

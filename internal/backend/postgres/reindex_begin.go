package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// BeginReindex writes a reindex of a collection, and makes the space that it
// is to build.
func (s *Store) BeginReindex(ctx context.Context, request document.ReindexRequest) (begun document.Reindex, err error) {
	defer wrapError(&err, "begin a reindex of collection %q", request.Collection)
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		c, err := lockCollection(ctx, tx, request.Collection)
		if err != nil {
			return err
		}
		if err := checkDocumentsExist(ctx, tx, c, request.DocumentIDs); err != nil {
			return err
		}
		if err := checkNoActiveReindex(ctx, tx, c.ID, uuid.Nil); err != nil {
			return err
		}
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		space, change := rebuild.TargetSpace(request, c.ActiveSpace)
		to := c.ActiveSpace.ID
		if change != document.ChangeNothing {
			if to, err = ensureSpace(ctx, tx, space); err != nil {
				return err
			}
		}
		documents := request.DocumentIDs
		if documents == nil {
			documents = []uuid.UUID{}
		}
		if _, err := tx.Exec(ctx, `
			INSERT INTO reindexes (id, collection, change, from_space, to_space, model, dimensions, chunk_tokens, chunk_overlap,
			                       key_prefix, documents, force)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
			id, c.ID, change, c.ActiveSpace.ID, to, space.Model.Name, space.Model.Dimensions, space.Chunking.Tokens, space.Chunking.Overlap,
			request.KeyPrefix, documents, request.Force); err != nil {
			return err
		}
		begun, err = readReindex(ctx, tx, id)
		return err
	})
	return begun, err
}

// lockCollection locks a collection against all others that change its spaces,
// and returns it. The second statement begins when the lock is held.
func lockCollection(ctx context.Context, tx pgx.Tx, name string) (vector.Collection, error) {
	if _, err := tx.Exec(ctx, `SELECT FROM collections WHERE name = $1 FOR NO KEY UPDATE`, name); err != nil {
		return vector.Collection{}, err
	}
	return readCollection(ctx, tx, name)
}

// checkDocumentsExist fails unless all of the documents are in the collection.
func checkDocumentsExist(ctx context.Context, tx pgx.Tx, c vector.Collection, ids []uuid.UUID) error {
	if len(ids) == 0 {
		return nil
	}
	var missing uuid.UUID
	err := tx.QueryRow(ctx, `
		SELECT id
		FROM unnest($2::uuid[]) AS wanted (id)
		WHERE NOT EXISTS (SELECT FROM documents d WHERE d.id = wanted.id AND d.collection = $1 AND d.deleted_at IS NULL)
		LIMIT 1`, c.ID, ids).Scan(&missing)
	if isNoRows(err) {
		return nil
	}
	if err == nil {
		err = fault.New(fault.NotFound, "there is no document %s in collection %q", missing, c.Name)
	}
	return err
}

// checkNoActiveReindex fails when a reindex of the collection, whose row is locked,
// has not ended, unless it is the one given.
func checkNoActiveReindex(ctx context.Context, tx pgx.Tx, collection, but uuid.UUID) error {
	var id uuid.UUID
	var state document.JobState
	err := tx.QueryRow(ctx, `
		SELECT id, state FROM reindexes
		WHERE collection = $1 AND id <> $2 AND state IN ('queued', 'running', 'waiting', 'paused')`, collection, but).Scan(&id, &state)
	if isNoRows(err) {
		return nil
	}
	if err == nil {
		err = fault.New(fault.Conflict, "reindex %s of the collection is %s: wait for its end, or cancel it", id, state)
	}
	return err
}

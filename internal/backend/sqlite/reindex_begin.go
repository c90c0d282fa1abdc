package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// BeginReindex writes a reindex, and has what is uploaded from now on be
// written to the space that it builds too.
func (s *Store) BeginReindex(ctx context.Context, request document.ReindexRequest) (begun document.Reindex, err error) {
	defer wrapError(&err, "begin a reindex of collection %q", request.Collection)
	err = s.inWriteTransaction(ctx, func(tx transaction) error {
		c, err := readCollection(ctx, tx, request.Collection)
		if err != nil {
			return err
		}
		documents, err := jsonIDs(request.DocumentIDs)
		if err != nil {
			return err
		}
		if err := checkDocumentsExist(ctx, tx, c, documents); err != nil {
			return err
		}
		if err := checkNoActiveReindex(ctx, tx, c.ID); err != nil {
			return err
		}
		target, change := rebuild.TargetSpace(request, c.ActiveSpace)
		if change == document.ChangeNothing {
			target = c.ActiveSpace
		} else if target, err = ensureSpace(ctx, tx, target); err != nil {
			return err
		}
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO reindexes (tenant, id, collection, change, from_space, to_space,
			                       model, dimensions, chunk_tokens, chunk_overlap, key_prefix, documents, force, created_at)
			VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)`,
			tx.tenant, id, c.ID, change, c.ActiveSpace.ID, target.ID,
			target.Model.Name, target.Model.Dimensions, target.Chunking.Tokens, target.Chunking.Overlap,
			request.KeyPrefix, documents, request.Force, tx.now); err != nil {
			return err
		}
		r, err := loadReindex(ctx, tx, id)
		begun = r.Reindex
		return err
	})
	return begun, err
}

// checkNoActiveReindex returns fault.Conflict when a reindex of the collection has not
// ended.
func checkNoActiveReindex(ctx context.Context, tx transaction, collection uuid.UUID) error {
	var active uuid.UUID
	var state document.JobState
	err := tx.QueryRowContext(ctx, `
		SELECT id, state FROM reindexes
		WHERE tenant = ?1 AND collection = ?2 AND state IN ('queued', 'running', 'waiting', 'paused')`,
		tx.tenant, collection).Scan(&active, &state)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	default:
		return fault.New(fault.Conflict, "reindex %s of the collection is %s: wait for its end, or cancel it", active, state)
	}
}

// jsonIDs returns ids as json_each reads them.
func jsonIDs(ids []uuid.UUID) (string, error) {
	text, err := json.Marshal(append([]uuid.UUID{}, ids...))
	return string(text), err
}

func checkDocumentsExist(ctx context.Context, tx transaction, c vector.Collection, documents string) error {
	var missing uuid.UUID
	err := tx.QueryRowContext(ctx, `
		SELECT wanted.value
		FROM json_each(?3) wanted
		WHERE NOT EXISTS (SELECT 1 FROM documents d
		                  WHERE d.tenant = ?1 AND d.id = wanted.value AND d.collection = ?2 AND d.deleted_at IS NULL)
		LIMIT 1`, tx.tenant, c.ID, documents).Scan(&missing)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	default:
		return fault.New(fault.NotFound, "there is no document %s in collection %q", missing, c.Name)
	}
}

// ensureSpace returns the space of the collection that has the target's model
// and chunking and is still kept, or else a new one. It is written to from now
// on, and stays.
func ensureSpace(ctx context.Context, tx transaction, target vector.Space) (vector.Space, error) {
	if target.Model.Dimensions == 0 {
		return vector.Space{}, fault.New(fault.BadRequest, "the length of the vectors of model %q is not known", target.Model.Name)
	}
	err := tx.QueryRowContext(ctx, `
		UPDATE spaces SET written = true, drop_after = NULL
		WHERE id = (SELECT id FROM spaces
		            WHERE tenant = ?1 AND collection = ?2 AND model = ?3 AND dimensions = ?4 AND chunk_tokens = ?5 AND chunk_overlap = ?6
		              AND coalesce(drop_after > ?7, true)
		            ORDER BY id DESC
		            LIMIT 1)
		RETURNING id`, tx.tenant, target.CollectionID, target.Model.Name, target.Model.Dimensions,
		target.Chunking.Tokens, target.Chunking.Overlap, tx.now).Scan(&target.ID)
	if errors.Is(err, sql.ErrNoRows) {
		return addSpace(ctx, tx, target)
	}
	if err != nil {
		return target, err
	}
	// What was left out is tried again.
	_, err = tx.ExecContext(ctx, `
		DELETE FROM space_versions WHERE tenant = ?1 AND space = ?2 AND left_out IS NOT NULL`, tx.tenant, target.ID)
	return target, err
}

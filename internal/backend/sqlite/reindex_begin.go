package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
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
		was, err := loadCollection(ctx, tx, c.ID)
		if err != nil {
			return err
		}
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		r, err := was.Begin(id, request, tx.now.time())
		if err != nil {
			return err
		}
		if err := saveSpaces(ctx, tx, was, &r.Collection, &r.To); err != nil {
			return err
		}
		if err := tx.exec(ctx, `
			INSERT INTO reindexes (tenant, id, collection, change, from_space, to_space,
			                       model, dimensions, chunk_tokens, chunk_overlap, key_prefix, documents, force, created_at)
			VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)`,
			tx.tenant, id, c.ID, r.Change, r.From, r.To,
			r.Wanted.Model.Name, r.Wanted.Model.Dimensions, r.Wanted.Chunking.Tokens, r.Wanted.Chunking.Overlap,
			request.KeyPrefix, documents, r.Force, tx.now); err != nil {
			return err
		}
		read, err := loadReindex(ctx, tx, id)
		begun = read.Reindex
		return err
	})
	return begun, err
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

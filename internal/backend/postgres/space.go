package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const spaceColumns = `s.id, s.collection, s.model, s.dimensions, s.chunk_tokens, s.chunk_overlap, s.indexed,
	s.storage IN ('moved', 'own'), coalesce(s.ef_search, 0)`

// selectSpaces is followed by a WHERE and read by scanSpace.
const selectSpaces = `
	SELECT ` + spaceColumns + `
	FROM spaces s`

func scanSpace(row pgx.CollectableRow) (s vector.Space, err error) {
	err = row.Scan(spaceFields(&s)...)
	return s, err
}

// spaceFields are what spaceColumns are scanned into.
func spaceFields(s *vector.Space) []any {
	return []any{&s.ID, &s.CollectionID, &s.Model.Name, &s.Model.Dimensions, &s.Chunking.Tokens, &s.Chunking.Overlap, &s.Indexed, &s.OwnTable, &s.SearchWidth}
}

func readSpace(ctx context.Context, tx pgx.Tx, id int64) (s vector.Space, err error) {
	err = tx.QueryRow(ctx, selectSpaces+`
		WHERE s.id = $1`, id).Scan(spaceFields(&s)...)
	return s, err
}

// queueReadSpace reads a space, or answers fault.Conflict when it is gone.
func queueReadSpace(batch *pgx.Batch, id int64, space *vector.Space) {
	batch.Queue(selectSpaces+`
		WHERE s.id = $1`, id).QueryRow(func(row pgx.Row) error {
		err := row.Scan(spaceFields(space)...)
		if isNoRows(err) {
			err = errSpaceDropped(id)
		}
		return err
	})
}

// addSpace makes a space, empty, in the shared table or in one of its own.
func addSpace(ctx context.Context, tx pgx.Tx, space vector.Space) (id int64, err error) {
	if err := checkDimensions(space.Model); err != nil {
		return 0, err
	}
	if err := tx.QueryRow(ctx, `
		INSERT INTO spaces (collection, model, dimensions, chunk_tokens, chunk_overlap, storage)
		VALUES ($1, $2, $3, $4, $5, CASE WHEN $6 THEN 'own' ELSE 'shared' END)
		RETURNING id`, space.CollectionID, space.Model.Name, space.Model.Dimensions, space.Chunking.Tokens, space.Chunking.Overlap, space.OwnTable).
		Scan(&id); err != nil {
		return 0, err
	}
	if space.OwnTable {
		_, err = tx.Exec(ctx, `SELECT add_partition($1)`, id)
	}
	return id, err
}

func checkDimensions(model document.Model) error {
	if model.Dimensions < 0 || model.Dimensions > vector.MaxDimensions {
		return fault.New(fault.BadRequest, "model %q has vectors of %d dimensions; 1 to %d can be stored", model.Name, model.Dimensions, vector.MaxDimensions)
	}
	return nil
}

// ensureSpace returns the space of the collection, whose row is locked, that is
// like the given one and still kept, or makes it. It is kept complete from now
// on.
func ensureSpace(ctx context.Context, tx pgx.Tx, space vector.Space) (id int64, err error) {
	if space.Model.Dimensions == 0 {
		return 0, fault.New(fault.BadRequest, "the length of the vectors of model %q is not known", space.Model.Name)
	}
	err = tx.QueryRow(ctx, `
		UPDATE spaces SET written = true, drop_after = NULL
		WHERE id = (SELECT id
		            FROM spaces
		            WHERE collection = $1 AND model = $2 AND dimensions = $3 AND chunk_tokens = $4 AND chunk_overlap = $5
		              AND (drop_after IS NULL OR drop_after > clock_timestamp())
		            ORDER BY id DESC
		            LIMIT 1)
		RETURNING id`, space.CollectionID, space.Model.Name, space.Model.Dimensions, space.Chunking.Tokens, space.Chunking.Overlap).
		Scan(&id)
	if isNoRows(err) {
		return addSpace(ctx, tx, space)
	}
	if err != nil {
		return 0, err
	}
	// What was left out is tried again.
	_, err = tx.Exec(ctx, `DELETE FROM space_versions WHERE space = $1 AND left_out IS NOT NULL`, id)
	return id, err
}

// queueReadWorkSpaces reads into the work the spaces of its document's collection that
// are kept complete, the live one first.
func queueReadWorkSpaces(batch *pgx.Batch, work *task.Work) {
	batch.Queue(`
		SELECT `+spaceColumns+`, s.id = c.active_space AND `+isReplaceable+`
		FROM spaces s
		JOIN collections c ON c.id = s.collection
		WHERE c.id = (SELECT collection FROM documents WHERE id = $1) AND (s.id = c.active_space OR s.written)
		ORDER BY s.id <> c.active_space, s.id`, work.DocumentID).Query(func(rows pgx.Rows) error {
		work.Space, work.OtherSpaces, work.SpaceReplaceable = vector.Space{}, nil, false
		var space vector.Space
		var unsettled bool
		_, err := pgx.ForEachRow(rows, append(spaceFields(&space), &unsettled), func() error {
			if work.Space.ID == 0 {
				work.Space, work.SpaceReplaceable = space, unsettled
			} else {
				work.OtherSpaces = append(work.OtherSpaces, space)
			}
			return nil
		})
		return err
	})
}

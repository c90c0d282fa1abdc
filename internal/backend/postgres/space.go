package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype/zeronull"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
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
	if err := lifecycle.CheckModel(space.Model); err != nil {
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

// lockedCollection is a collection with its spaces under the lock of its row, and the time
// of the server then.
type lockedCollection struct {
	lifecycle.Collection
	now time.Time
}

// collectionOfReindex is the condition for a collection c to be that of the reindex $1.
const collectionOfReindex = `c.id = (SELECT collection FROM reindexes WHERE id = $1)`

// lockCollection locks the collection c for which a condition holds, with $1 as its
// argument, against all others that change its spaces. It returns the zero value when
// there is none. The second statement begins when the lock is held.
func lockCollection(ctx context.Context, tx pgx.Tx, condition string, arg any) (c lockedCollection, err error) {
	var batch pgx.Batch
	batch.Queue(`SELECT FROM collections c WHERE `+condition+` FOR NO KEY UPDATE`, arg)
	queueReadCollection(&batch, condition, arg, &c)
	return c, tx.SendBatch(ctx, &batch).Close()
}

// queueReadCollection reads a collection with its active reindex and all its spaces but
// those that are being removed.
func queueReadCollection(batch *pgx.Batch, condition string, arg any, c *lockedCollection) {
	batch.Queue(`
		SELECT clock_timestamp(), c.id, c.active_space, r.id, coalesce(r.state, ''), s.written, s.drop_after, `+spaceColumns+`
		FROM collections c
		JOIN spaces s ON s.collection = c.id AND s.drop_after IS DISTINCT FROM '-infinity'
		LEFT JOIN reindexes r ON r.collection = c.id AND r.state IN `+lifecycle.ActiveStates+`
		WHERE `+condition+`
		ORDER BY s.id`, arg).Query(func(rows pgx.Rows) error {
		var s lifecycle.Space
		_, err := pgx.ForEachRow(rows, append([]any{&c.now, &c.ID, &c.Active, (*zeronull.UUID)(&c.Reindex.ID), &c.Reindex.State,
			&s.Written, (*zeronull.Timestamptz)(&s.DropAfter)}, spaceFields(&s.Space)...), func() error {
			c.Spaces = append(c.Spaces, s)
			return nil
		})
		return err
	})
}

// saveSpaces writes what differs between two states of a collection's spaces. A space
// that is made gets its id, also where built is 0.
func saveSpaces(ctx context.Context, tx pgx.Tx, was lifecycle.Collection, is *lifecycle.Collection, built *int64) error {
	change := lifecycle.DiffSpaces(was, *is)
	for _, s := range change.Add {
		made, err := addSpace(ctx, tx, s.Space)
		if err != nil {
			return fmt.Errorf("make the space: %w", err)
		}
		for _, id := range []*int64{&is.Active, built} {
			if *id == 0 {
				*id = made
			}
		}
	}
	var batch pgx.Batch
	for _, s := range change.Update {
		batch.Queue(`UPDATE spaces SET written = $2, drop_after = $3 WHERE id = $1`, s.ID, s.Written, zeronull.Timestamptz(s.DropAfter))
		if s.RetryLeftOut {
			batch.Queue(`DELETE FROM space_versions WHERE space = $1 AND left_out IS NOT NULL`, s.ID)
		}
	}
	for _, s := range change.Retired {
		batch.Queue(`INSERT INTO garbage (kind, space, due_at) VALUES ('space', $1, $2)`, s.ID, s.DropAfter)
	}
	if change.Active {
		batch.Queue(`UPDATE collections SET active_space = $2 WHERE id = $1`, is.ID, is.Active)
	}
	return tx.SendBatch(ctx, &batch).Close()
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

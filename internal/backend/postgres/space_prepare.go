package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// isReplaceable is the condition for no version to stand in space s, and for no
// reindex to have built it.
const isReplaceable = `(NOT space_stands(s.id)
	AND NOT EXISTS (SELECT FROM reindexes r WHERE r.collection = s.collection AND r.to_space = s.id AND r.change <> 'nothing'))`

// PrepareSpace replaces the collection's active space by one of the given model and
// chunking, if it holds nothing. The collection is locked, so its spaces do not change,
// and so is publishing, so no version becomes complete in them. Each statement begins when
// the locks before it are held.
func (s *Store) PrepareSpace(ctx context.Context, work task.Work, model document.Model, chunking document.Chunking) (prepared task.Work, err error) {
	defer wrapError(&err, "prepare a space for %s", work)
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		if err := checkLease(ctx, tx, work); err != nil {
			return err
		}
		was, err := lockCollection(ctx, tx, `c.id = $1`, work.Space.CollectionID)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, lockPublishingExclusive, was.ID); err != nil {
			return err
		}
		prepared = work
		if err := readWorkSpaces(ctx, tx, &prepared); err != nil {
			return err
		}
		holds, err := holdsPassages(ctx, tx, prepared, model, chunking)
		if err != nil {
			return err
		}
		is, err := was.Prepare(prepared.SpaceReplaceable, holds, model, chunking, was.now)
		if err != nil || is.Active == was.Active {
			return err
		}
		if err := replaceSpace(ctx, tx, was.Collection, is); err != nil {
			return err
		}
		return readWorkSpaces(ctx, tx, &prepared)
	})
	return prepared, err
}

// holdsPassages reports whether the work's space holds passages. It does not look if the
// space stays in any case.
func holdsPassages(ctx context.Context, tx pgx.Tx, work task.Work, model document.Model, chunking document.Chunking) (bool, error) {
	if !work.SpaceReplaceable || work.Space.Model == model && work.Space.Chunking == chunking {
		return false, nil
	}
	space, err := holdSpace(ctx, tx, work.Space.ID)
	if err != nil {
		return false, err
	}
	return hasAtLeastPassages(ctx, tx, space.Space, 1)
}

func readWorkSpaces(ctx context.Context, tx pgx.Tx, work *task.Work) error {
	var batch pgx.Batch
	queueReadWorkSpaces(&batch, work)
	return tx.SendBatch(ctx, &batch).Close()
}

// replaceSpace makes another space the active one. Versions without passages are complete
// in it as they are in the one before.
func replaceSpace(ctx context.Context, tx pgx.Tx, was, is lifecycle.Collection) error {
	if err := saveSpaces(ctx, tx, was, &is, &is.Active); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO space_versions (document, version, space, passages)
		SELECT document, version, $2, 0 FROM space_versions WHERE space = $1 AND passages = 0
		ON CONFLICT DO NOTHING`, was.Active, is.Active)
	return err
}

package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// replacedSpaceRetention is how long an empty space is kept that another has taken the
// place of. Tasks that have claimed it may still write to it: what they write
// is not published.
const replacedSpaceRetention = 10 * time.Minute

// isReplaceable is the condition for no version to stand in space s, and for no
// reindex to have built it.
const isReplaceable = `(NOT space_stands(s.id)
	AND NOT EXISTS (SELECT FROM reindexes r WHERE r.collection = s.collection AND r.to_space = s.id AND r.change <> 'nothing'))`

// PrepareSpace replaces the collection's live space, if that is unsettled and
// holds no passages, by one of the given model and chunking.
func (s *Store) PrepareSpace(ctx context.Context, work task.Work, model document.Model, chunking document.Chunking) (prepared task.Work, err error) {
	defer wrapError(&err, "prepare a space for %s", work)
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		if err := checkLease(ctx, tx, work); err != nil {
			return err
		}
		prepared = work
		if err := lockWorkSpaces(ctx, tx, &prepared); err != nil {
			return err
		}
		wanted := vector.Space{CollectionID: prepared.Space.CollectionID, Model: model, Chunking: chunking}
		if !prepared.SpaceReplaceable || prepared.Space.Model == model && prepared.Space.Chunking == chunking {
			return nil
		}
		live, err := holdSpace(ctx, tx, prepared.Space.ID)
		if err != nil {
			return err
		}
		if holds, err := hasAtLeastPassages(ctx, tx, live.Space, 1); err != nil || holds {
			return err
		}
		if err := replaceSpace(ctx, tx, prepared.Space, wanted); err != nil {
			return err
		}
		return readWorkSpaces(ctx, tx, &prepared)
	})
	return prepared, err
}

// lockWorkSpaces keeps the spaces of the work's collection as they are until the
// transaction ends, with nothing published meanwhile, and reads them into the
// work. Each statement begins when the locks before it are held.
func lockWorkSpaces(ctx context.Context, tx pgx.Tx, work *task.Work) error {
	if _, err := tx.Exec(ctx, `
		SELECT FROM collections WHERE id = $1 FOR NO KEY UPDATE`, work.Space.CollectionID); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, lockPublishingExclusive, work.Space.CollectionID); err != nil {
		return err
	}
	return readWorkSpaces(ctx, tx, work)
}

func readWorkSpaces(ctx context.Context, tx pgx.Tx, work *task.Work) error {
	var batch pgx.Batch
	queueReadWorkSpaces(&batch, work)
	return tx.SendBatch(ctx, &batch).Close()
}

// replaceSpace makes a space live in the place of an empty one. Versions without
// passages stand in the one as they do in the other.
func replaceSpace(ctx context.Context, tx pgx.Tx, empty, wanted vector.Space) error {
	id, err := ensureSpace(ctx, tx, wanted)
	if err != nil {
		return fmt.Errorf("make the space: %w", err)
	}
	var batch pgx.Batch
	batch.Queue(`
		INSERT INTO space_versions (document, version, space, passages)
		SELECT document, version, $2, 0 FROM space_versions WHERE space = $1 AND passages = 0
		ON CONFLICT DO NOTHING`, empty.ID, id)
	batch.Queue(`UPDATE collections SET active_space = $2 WHERE id = $1`, empty.CollectionID, id)
	batch.Queue(scheduleSpaceDrop, empty.ID, false, replacedSpaceRetention)
	return tx.SendBatch(ctx, &batch).Close()
}

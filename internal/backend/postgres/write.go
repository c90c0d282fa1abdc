package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// WriteBatch stores new passages, places and progress. The fence comes last: it is
// a lock on the task, and the batches of a document are written side by side.
// The look at the lease before it spares a stale worker all else.
func (s *Store) WriteBatch(ctx context.Context, work task.Work, batch vector.Batch, progress document.KnowledgeProgress) (err error) {
	defer wrapError(&err, "write %d passages and %d places of %s", len(batch.New), len(batch.Entries), work)
	return s.inTenant(ctx, func(tx pgx.Tx) error {
		var begin pgx.Batch
		var space heldSpace
		queueCheckLease(&begin, work)
		queueHoldSpace(&begin, work.Space.ID, &space)
		if err := tx.SendBatch(ctx, &begin).Close(); err != nil {
			return err
		}
		places := []rebuild.VersionWrite{{
			MissingVersion: rebuild.MissingVersion{DocumentID: work.DocumentID, Version: work.Version},
			Entries:        batch.Entries,
		}}
		if err := ensurePassages(ctx, tx, space, batch.New, places); err != nil {
			return err
		}
		var inserts pgx.Batch
		queueInsertManifest(&inserts, work.Space.ID, places)
		queueFence(&inserts, work, progress)
		return tx.SendBatch(ctx, &inserts).Close()
	})
}

// ensurePassages sees to it that passages, and those of places, are in the
// space and stay there until the transaction ends: those that are there are
// held, the others added. Where all may be new, they are added before it is asked
// what is there. One that another transaction adds or removes in between is met
// again in the next round; rounds end, since nothing that is held or added can go,
// and each other transaction is waited for.
func ensurePassages(ctx context.Context, tx pgx.Tx, space heldSpace, passages []vector.EmbeddedPassage, versions []rebuild.VersionWrite) error {
	missing := make(map[document.ContentHash]*vector.EmbeddedPassage) // nil when it should have been there
	for _, version := range versions {
		for _, place := range version.Entries {
			missing[place.Hash] = nil
		}
	}
	for i, passage := range passages {
		missing[passage.Hash] = &passages[i]
	}
	if len(missing) == len(passages) && len(passages) > 0 {
		added, err := insertPassages(ctx, tx, space, slices.Clone(passages))
		if err != nil {
			return fmt.Errorf("insert passages: %w", err)
		}
		if added == len(passages) {
			return nil
		}
	}
	for {
		hashes := make([]document.ContentHash, 0, len(missing))
		for hash := range missing {
			hashes = append(hashes, hash)
		}
		held, err := holdPassages(ctx, tx, space, hashes)
		if err != nil {
			return fmt.Errorf("hold passages: %w", err)
		}
		fresh := make([]vector.EmbeddedPassage, 0, len(missing))
		for hash, passage := range missing {
			switch {
			case held[hash]:
			case passage == nil:
				return fault.New(fault.Conflict, "passage %x is no longer in space %d", hash, space.ID)
			default:
				fresh = append(fresh, *passage)
			}
		}
		if len(fresh) == 0 {
			return nil
		}
		added, err := insertPassages(ctx, tx, space, fresh)
		if err != nil {
			return fmt.Errorf("insert passages: %w", err)
		}
		if added == len(fresh) {
			return nil
		}
	}
}

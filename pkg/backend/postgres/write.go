package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// Write stores new passages, places and progress. The fence comes last: it is
// a lock on the task, and the batches of a document are written side by side.
// The look at the lease before it spares a stale worker all else.
func (s *Store) Write(ctx context.Context, work document.Work, batch document.Batch, progress document.KnowledgeProgress) (err error) {
	defer describe(&err, "write %d passages and %d places of %s", len(batch.New), len(batch.Places), work)
	return s.inTenant(ctx, func(tx pgx.Tx) error {
		var begin pgx.Batch
		var space held
		queueCheckLease(&begin, work)
		queueHold(&begin, work.Space.ID, &space)
		if err := tx.SendBatch(ctx, &begin).Close(); err != nil {
			return err
		}
		places := []document.RebuiltPlaces{{
			Unplaced: document.Unplaced{Document: work.Document, Version: work.Version},
			Places:   batch.Places,
		}}
		if err := securePassages(ctx, tx, space, batch.New, places); err != nil {
			return err
		}
		var inserts pgx.Batch
		queuePlaces(&inserts, work.Space.ID, places)
		queueFence(&inserts, work, progress)
		return tx.SendBatch(ctx, &inserts).Close()
	})
}

// securePassages sees to it that passages, and those of places, are in the
// space and stay there until the transaction ends: those that are there are
// held, the others added. Where all may be new, they are added before it is asked
// what is there. One that another transaction adds or removes in between is met
// again in the next round; rounds end, since nothing that is held or added can go,
// and each other transaction is waited for.
func securePassages(ctx context.Context, tx pgx.Tx, space held, passages []document.Embedded, versions []document.RebuiltPlaces) error {
	missing := make(map[document.Hash]*document.Embedded) // nil when it should have been there
	for _, version := range versions {
		for _, place := range version.Places {
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
		hashes := make([]document.Hash, 0, len(missing))
		for hash := range missing {
			hashes = append(hashes, hash)
		}
		held, err := holdPassages(ctx, tx, space, hashes)
		if err != nil {
			return fmt.Errorf("hold passages: %w", err)
		}
		fresh := make([]document.Embedded, 0, len(missing))
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

package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// publishAgain is how long to leave a version alone that could not be published
// for what changed meanwhile.
const publishAgain = time.Second

// Publish makes the version live and ends its task. It looks through the
// manifests before it takes the lock that a switch of spaces waits for.
func (s *Store) Publish(ctx context.Context, work document.Work, also []document.Placement, progress document.KnowledgeProgress, warnings ...document.Warning) (err error) {
	defer describe(&err, "publish %s", work)
	return s.inTenant(ctx, func(tx pgx.Tx) error {
		placements := append([]document.Placement{{Space: work.Space.ID, Passages: progress.Passages, Warnings: warnings}}, also...)
		var spaces []document.Space
		t, err := lockOwn(ctx, tx, work, func(batch *pgx.Batch) { queueStillWritten(batch, &placements, &spaces) })
		if err != nil {
			return err
		}
		var batch pgx.Batch
		if t.live != nil && *t.live > work.Version {
			t.queueEnd(&batch, document.Cancelled, supersededBy(*t.live), nil)
			return tx.SendBatch(ctx, &batch).Close()
		}
		var checks pgx.Batch
		for i, p := range placements {
			queueManifestCheck(&checks, work, spaces[i], p.Passages)
		}
		queueShareLive(&checks, work, placements)
		if err := tx.SendBatch(ctx, &checks).Close(); err != nil {
			return err
		}
		for _, p := range placements {
			batch.Queue(`
				INSERT INTO placements (document, version, space, passages, warnings) VALUES ($1, $2, $3, $4, $5)`,
				work.Document, work.Version, p.Space, p.Passages, append(document.Warnings{}, p.Warnings...))
			queueGrown(&batch, p.Space, p.Passages)
		}
		// The switch and the ends that tell of it are one transaction: who
		// sees the job succeeded finds the document.
		batch.Queue(`
			UPDATE documents SET live_version = $2, state = 'ready', updated_at = now()
			WHERE id = $1`, work.Document, work.Version)
		if t.live != nil && *t.live < work.Version {
			queueObsolete(&batch, work.Document, *t.live)
		}
		t.queueEnd(&batch, document.Succeeded, "", progress)
		return tx.SendBatch(ctx, &batch).Close()
	})
}

// queueStillWritten leaves out placements in spaces that are no longer kept
// complete, and may be gone before this is over. It holds the spaces of the
// others (see queueHold), and reads them in the same order.
func queueStillWritten(batch *pgx.Batch, placements *[]document.Placement, spaces *[]document.Space) {
	of := make(map[int64]document.Placement, len(*placements))
	ids := make([]int64, 0, len(*placements))
	for _, p := range *placements {
		of[p.Space] = p
		ids = append(ids, p.Space)
	}
	slices.Sort(ids)
	for _, id := range ids {
		batch.Queue(shareStorage, id)
	}
	batch.Queue(selectSpaces+`
		WHERE s.id = ANY ($1) AND s.written
		ORDER BY s.id
		FOR KEY SHARE`, ids).Query(func(rows pgx.Rows) (err error) {
		*placements = nil
		*spaces, err = pgx.CollectRows(rows, scanSpace)
		for _, space := range *spaces {
			*placements = append(*placements, of[space.ID])
		}
		return err
	})
}

// queueManifestCheck fails unless the version has exactly the wanted number of
// places in the space, and their passages.
func queueManifestCheck(batch *pgx.Batch, work document.Work, space document.Space, want int64) {
	batch.Queue(`
		SELECT count(*), count(p.hash)
		FROM manifest m
		LEFT JOIN LATERAL (SELECT * FROM `+passagesTable(space)+` p WHERE p.space = $3 AND p.hash = m.hash OFFSET 0) p ON true
		WHERE m.document = $1 AND m.version = $2 AND m.space = $3`, work.Document, work.Version, space.ID).QueryRow(func(row pgx.Row) error {
		var places, passages int64
		if err := row.Scan(&places, &passages); err != nil {
			return err
		}
		if places != want || passages != want {
			return fmt.Errorf("version %d has %d places with %d passages in space %d, want %d of each",
				work.Version, places, passages, space.ID, want)
		}
		return nil
	})
}

// queueShareLive has the live space stay live until the transaction ends, and
// fails unless the version is placed there. The second statement begins when the
// lock is held.
func queueShareLive(batch *pgx.Batch, work document.Work, placements []document.Placement) {
	batch.Queue(sharePublishing, work.Space.Collection)
	batch.Queue(`SELECT live_space FROM collections WHERE id = $1`, work.Space.Collection).QueryRow(func(row pgx.Row) error {
		var live int64
		if err := row.Scan(&live); err != nil {
			return err
		}
		for _, p := range placements {
			if p.Space == live {
				return nil
			}
		}
		return fault.New(fault.Unavailable, "another space has become the live one, and the next attempt writes to that").After(publishAgain)
	})
}

package postgres

import (
	"context"
	"errors"
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
	return s.inTenantLast(ctx, func(tx pgx.Tx) (*pgx.Batch, error) {
		placements := append([]document.Placement{{Space: work.Space.ID, Passages: progress.Passages, Warnings: warnings}}, also...)
		var spaces []document.Space
		t, err := lockOwn(ctx, tx, work, func(batch *pgx.Batch) { queueStillWritten(batch, &placements, &spaces) })
		if err != nil {
			return nil, err
		}
		var last pgx.Batch
		if t.live != nil && *t.live > work.Version {
			t.queueEnd(&last, document.Cancelled, supersededBy(*t.live), nil)
			return &last, nil
		}
		var checks pgx.Batch
		for i, p := range placements {
			queueManifestCheck(&checks, work, spaces[i], p.Passages)
		}
		queueShareLive(&checks, work, func(live int64) error { return checkPlaced(placements, live) })
		if err := tx.SendBatch(ctx, &checks).Close(); err != nil {
			return nil, err
		}
		t.queuePublish(&last, placements, progress)
		return &last, nil
	})
}

// errNotNow is that a version cannot be made live as things are.
var errNotNow = errors.New("the version is not published")

// WriteAndPublish is Write and Publish of a whole version in one transaction, of
// which there are four round trips. The lock on the document keeps the lease from
// being lost, so there is no fence.
func (s *Store) WriteAndPublish(ctx context.Context, work document.Work, batch document.Batch, progress document.KnowledgeProgress, warnings ...document.Warning) (published bool, err error) {
	defer describe(&err, "write and publish %d passages of %s", len(batch.Places), work)
	err = s.inTenantLast(ctx, func(tx pgx.Tx) (*pgx.Batch, error) {
		var space held
		t, err := lockOwn(ctx, tx, work, func(batch *pgx.Batch) { queueHold(batch, work.Space.ID, &space) })
		if err != nil {
			return nil, err
		}
		if t.live != nil && *t.live > work.Version {
			return nil, errNotNow
		}
		places := []document.RebuiltPlaces{{
			Unplaced: document.Unplaced{Document: work.Document, Version: work.Version},
			Places:   batch.Places,
		}}
		if err := securePassages(ctx, tx, space, batch.New, places); err != nil {
			return nil, err
		}
		var checks pgx.Batch
		queuePlaces(&checks, space.ID, places)
		queuePlacesCheck(&checks, work, space.Space, progress.Passages)
		queueShareLive(&checks, work, func(live int64) error {
			if live != space.ID {
				return errNotNow
			}
			return nil
		})
		if err := tx.SendBatch(ctx, &checks).Close(); err != nil {
			return nil, err
		}
		var last pgx.Batch
		t.queuePublish(&last, []document.Placement{{Space: space.ID, Passages: progress.Passages, Warnings: warnings}}, progress)
		return &last, nil
	})
	if errors.Is(err, errNotNow) {
		return false, nil
	}
	return err == nil, err
}

// queuePublish notes where the version of the task stands, has readers see it,
// and ends the task. The switch and the ends that tell of it are one
// transaction: who sees the job succeeded finds the document.
func (t task) queuePublish(batch *pgx.Batch, placements []document.Placement, progress document.KnowledgeProgress) {
	for _, p := range placements {
		batch.Queue(`
			INSERT INTO placements (document, version, space, passages, warnings) VALUES ($1, $2, $3, $4, $5)`,
			t.Document, t.Version, p.Space, p.Passages, append(document.Warnings{}, p.Warnings...))
		queueGrown(batch, p.Space, p.Passages)
	}
	batch.Queue(`
		UPDATE documents SET live_version = $2, state = 'ready', updated_at = now()
		WHERE id = $1`, t.Document, t.Version)
	if t.live != nil && *t.live < t.Version {
		queueObsolete(batch, t.Document, *t.live)
	}
	t.queueEnd(batch, document.Succeeded, "", progress)
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
		return checkManifest(work, space, places, passages, want)
	})
}

// queuePlacesCheck is queueManifestCheck where it is known that the passages of
// places are there.
func queuePlacesCheck(batch *pgx.Batch, work document.Work, space document.Space, want int64) {
	batch.Queue(`
		SELECT count(*) FROM manifest WHERE document = $1 AND version = $2 AND space = $3`, work.Document, work.Version, space.ID).QueryRow(func(row pgx.Row) error {
		var places int64
		if err := row.Scan(&places); err != nil {
			return err
		}
		return checkManifest(work, space, places, places, want)
	})
}

func checkManifest(work document.Work, space document.Space, places, passages, want int64) error {
	if places == want && passages == want {
		return nil
	}
	return fmt.Errorf("version %d has %d places with %d passages in space %d, want %d of each",
		work.Version, places, passages, space.ID, want)
}

// queueShareLive has the live space stay live until the transaction ends, and
// fails unless check takes it. The second statement begins when the lock is held.
func queueShareLive(batch *pgx.Batch, work document.Work, check func(live int64) error) {
	batch.Queue(sharePublishing, work.Space.Collection)
	batch.Queue(`SELECT live_space FROM collections WHERE id = $1`, work.Space.Collection).QueryRow(func(row pgx.Row) error {
		var live int64
		if err := row.Scan(&live); err != nil {
			return err
		}
		return check(live)
	})
}

// checkPlaced fails unless one of the placements is in the live space.
func checkPlaced(placements []document.Placement, live int64) error {
	for _, p := range placements {
		if p.Space == live {
			return nil
		}
	}
	return fault.New(fault.Unavailable, "another space has become the live one, and the next attempt writes to that").After(publishAgain)
}

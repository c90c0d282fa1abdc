package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// DropSpaces removes spaces whose time is over: first the partition with all
// the passages, then, some at a time, what named them, and the space itself
// last. A space without its partition is dropped since the beginning of time,
// and never comes back.
func (s *Store) DropSpaces(ctx context.Context, limit int) (dropped int, err error) {
	defer describe(&err, "drop spaces")
	due, err := s.overdue(ctx)
	if err != nil {
		return 0, err
	}
	for _, space := range due {
		if err := s.dropPartition(ctx, space); err != nil {
			return 0, err
		}
	}
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		dropped, err = dropRemains(ctx, tx, limit)
		return err
	})
	return dropped, err
}

// overdue returns the spaces whose time is over and that still have their
// partition.
func (s *Store) overdue(ctx context.Context) (spaces []document.Space, err error) {
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		spaces, err = collect(ctx, tx, scanSpace, selectSpaces+`
			WHERE s.drop_after <= clock_timestamp() AND s.drop_after > '-infinity'
			ORDER BY s.id`)
		return err
	})
	return spaces, err
}

// dropPartition drops the passages of a space, unless somebody has come to need
// it. Readers are not kept waiting for long: when they are in the way, the next
// sweep tries again. The second statement begins when the collection is locked.
func (s *Store) dropPartition(ctx context.Context, space document.Space) error {
	err := s.inTenant(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT FROM collections WHERE id = $1 FOR NO KEY UPDATE`, space.Collection); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `
			UPDATE spaces s SET written = false, drop_after = '-infinity'
			FROM collections c
			WHERE s.id = $1 AND c.id = s.collection AND c.live_space <> s.id
			  AND s.drop_after <= clock_timestamp() AND s.drop_after > '-infinity'
			  AND NOT `+isBuilt, space.ID)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		_, err = tx.Exec(ctx, `SELECT drop_partition($1)`, space.ID)
		return err
	})
	const lockNotAvailable = "55P03"
	if sqlState(err) == lockNotAvailable {
		return nil
	}
	if err != nil {
		err = fmt.Errorf("drop the partition of space %d: %w", space.ID, err)
	}
	return err
}

// dropRemains removes up to limit rows of what is left of spaces without a
// partition, and says how many.
func dropRemains(ctx context.Context, tx pgx.Tx, limit int) (dropped int, err error) {
	spaces, err := collect(ctx, tx, pgx.RowTo[int64], `SELECT id FROM spaces WHERE drop_after = '-infinity' ORDER BY id`)
	if err != nil {
		return 0, err
	}
	for _, space := range spaces {
		for _, statement := range []string{dropPlaces, dropPlacements, dropSpace} {
			tag, err := tx.Exec(ctx, statement, space, limit-dropped)
			if err != nil {
				return 0, err
			}
			dropped += int(tag.RowsAffected())
		}
	}
	return dropped, nil
}

// Rows that Forget is removing are passed over, and so the space may stay until
// the next time. The order has PostgreSQL use an index: otherwise it would read
// past all that was removed the times before.
const (
	dropPlaces = `
		DELETE FROM manifest
		WHERE ctid = ANY (ARRAY(
			SELECT ctid FROM manifest
			WHERE space = $1
			ORDER BY hash
			LIMIT $2
			FOR UPDATE SKIP LOCKED))`
	dropPlacements = `
		DELETE FROM placements
		WHERE ctid = ANY (ARRAY(
			SELECT ctid FROM placements
			WHERE space = $1
			LIMIT $2
			FOR UPDATE SKIP LOCKED))`
	dropSpace = `
		DELETE FROM spaces
		WHERE id = $1 AND $2 > 0
		  AND NOT EXISTS (SELECT FROM manifest WHERE space = $1)
		  AND NOT EXISTS (SELECT FROM placements WHERE space = $1)`
)

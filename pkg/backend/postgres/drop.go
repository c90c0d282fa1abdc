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
			  AND NOT EXISTS (SELECT FROM reindexes r
			                  WHERE r.collection = c.id AND r.state IN ('queued', 'running', 'waiting', 'paused')
			                    AND s.id = CASE r.stage WHEN 'reverting' THEN r.from_space ELSE r.to_space END)`, space.ID)
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
// partition, and says how many. Rows that Forget is removing are passed over.
func dropRemains(ctx context.Context, tx pgx.Tx, limit int) (dropped int, err error) {
	for _, statement := range []string{
		`DELETE FROM manifest
		 WHERE ctid = ANY (ARRAY(
		     SELECT m.ctid
		     FROM spaces s
		     JOIN manifest m ON m.space = s.id
		     WHERE s.drop_after = '-infinity'
		     LIMIT $1
		     FOR UPDATE OF m SKIP LOCKED))`,
		`DELETE FROM placements
		 WHERE ctid = ANY (ARRAY(
		     SELECT p.ctid
		     FROM spaces s
		     JOIN placements p ON p.space = s.id
		     WHERE s.drop_after = '-infinity'
		     LIMIT $1
		     FOR UPDATE OF p SKIP LOCKED))`,
		`DELETE FROM spaces
		 WHERE id IN (
		     SELECT s.id
		     FROM spaces s
		     WHERE s.drop_after = '-infinity'
		       AND NOT EXISTS (SELECT FROM manifest m WHERE m.space = s.id)
		       AND NOT EXISTS (SELECT FROM placements p WHERE p.space = s.id)
		     LIMIT $1)`,
	} {
		tag, err := tx.Exec(ctx, statement, limit-dropped)
		if err != nil {
			return 0, err
		}
		dropped += int(tag.RowsAffected())
	}
	return dropped, nil
}

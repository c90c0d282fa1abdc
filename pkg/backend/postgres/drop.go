package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// leaveSpace has a space $1 be dropped after $3, and until then be written to or
// not ($2), and lists it. One without a partition has nothing that could be kept.
const leaveSpace = `
	WITH s AS (
		UPDATE spaces SET written    = $2 AND dimensions > 0,
		                  drop_after = CASE WHEN dimensions > 0 THEN clock_timestamp() + $3::interval ELSE '-infinity' END
		WHERE id = $1
		RETURNING id, drop_after
	)
	INSERT INTO garbage (kind, space, due_at) SELECT 'space', id, greatest(drop_after, now()) FROM s`

// collectSpace removes a space whose time is over: first the partition with all
// the passages, then, up to limit at a time, what names them, and the space
// itself last. A space without its partition is dropped since the beginning of
// time, and never comes back.
//
// The entry of a space that is kept is dropped: leaving it lists it again.
func collectSpace(ctx context.Context, tx pgx.Tx, g document.Garbage, ahead time.Duration, limit int) (more bool, err error) {
	var over, partition bool
	err = tx.QueryRow(ctx, `
		SELECT coalesce(drop_after <= clock_timestamp() + $2::interval, false), drop_after > '-infinity'
		FROM spaces WHERE id = $1 AND drop_after IS NOT NULL`, g.Space, ahead).Scan(&over, &partition)
	switch {
	case isNoRows(err) || err == nil && !over:
		return false, unlist(ctx, tx, g)
	case err != nil:
		return false, err
	case partition:
		return true, dropPartition(ctx, tx, g, ahead)
	}
	removed := 0
	for _, statement := range []string{dropPlaces, dropPlacements, dropSpace} {
		tag, err := tx.Exec(ctx, statement, g.Space, limit-removed)
		if err != nil {
			return false, err
		}
		removed += int(tag.RowsAffected())
	}
	if removed == 0 {
		return false, fault.New(fault.Conflict, "other transactions hold what is in it")
	}
	return true, nil
}

// dropPartition drops the passages of a space, unless somebody has come to need
// it. Readers are not kept waiting for long: when they are in the way, the entry
// is postponed. The second statement begins when the collection is locked.
func dropPartition(ctx context.Context, tx pgx.Tx, g document.Garbage, ahead time.Duration) error {
	if _, err := tx.Exec(ctx, `
		SELECT FROM collections WHERE id = (SELECT collection FROM spaces WHERE id = $1) FOR NO KEY UPDATE`, g.Space); err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, `
		UPDATE spaces s SET written = false, drop_after = '-infinity'
		FROM collections c
		WHERE s.id = $1 AND c.id = s.collection AND c.live_space <> s.id
		  AND s.drop_after <= clock_timestamp() + $2::interval AND s.drop_after > '-infinity'
		  AND NOT `+isBuilt, g.Space, ahead)
	if err != nil {
		return err
	}
	if tag.RowsAffected() == 0 {
		return fault.New(fault.Conflict, "it is needed again")
	}
	_, err = tx.Exec(ctx, `SELECT drop_partition($1)`, g.Space)
	return err
}

// Rows that others have locked are passed over, and so the space may stay until
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

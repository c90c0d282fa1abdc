package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/garbage"
)

// scheduleSpaceDrop has a space $1 be dropped after $3, and until then be written to or
// not ($2), and lists it. One without a length of vectors has nothing to be kept.
const scheduleSpaceDrop = `
	WITH s AS (
		UPDATE spaces SET written    = $2 AND dimensions > 0,
		                  drop_after = CASE WHEN dimensions > 0 THEN clock_timestamp() + $3::interval ELSE '-infinity' END
		WHERE id = $1
		RETURNING id, drop_after
	)
	INSERT INTO garbage (kind, space, due_at) SELECT 'space', id, greatest(drop_after, now()) FROM s`

// collectSpace removes a space whose time is over: first its own table, then, up to
// limit at a time, what names its passages, those in the shared table, and the
// space itself last. When the first is done, it is dropped since the beginning of
// time, and never comes back.
//
// The entry of a space that is kept is dropped: leaving it lists it again.
func collectSpace(ctx context.Context, tx pgx.Tx, g garbage.Entry, ahead time.Duration, limit int) (more bool, err error) {
	var over, partition bool
	err = tx.QueryRow(ctx, `
		SELECT coalesce(drop_after <= clock_timestamp() + $2::interval, false), drop_after > '-infinity'
		FROM spaces WHERE id = $1 AND drop_after IS NOT NULL`, g.SpaceID, ahead).Scan(&over, &partition)
	switch {
	case isNoRows(err) || err == nil && !over:
		return false, deleteGarbageEntries(ctx, tx, g)
	case err != nil:
		return false, err
	case partition:
		return true, dropSpacePassages(ctx, tx, g, ahead)
	}
	removed, err := deleteSpaceRows(ctx, tx, g.SpaceID, limit)
	if err != nil {
		return false, err
	}
	if removed == 0 {
		return false, fault.New(fault.Conflict, "other transactions hold what is in it")
	}
	return true, nil
}

// dropSpacePassages drops the passages of a space, unless somebody has come to need
// it. Readers are not kept waiting for long: when they are in the way, the entry
// is postponed. The second statement begins when the collection is locked.
func dropSpacePassages(ctx context.Context, tx pgx.Tx, g garbage.Entry, ahead time.Duration) error {
	if _, err := tx.Exec(ctx, `
		SELECT FROM collections WHERE id = (SELECT collection FROM spaces WHERE id = $1) FOR NO KEY UPDATE`, g.SpaceID); err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, `
		UPDATE spaces s SET written = false, drop_after = '-infinity'
		FROM collections c
		WHERE s.id = $1 AND c.id = s.collection AND c.active_space <> s.id
		  AND s.drop_after <= clock_timestamp() + $2::interval AND s.drop_after > '-infinity'
		  AND NOT `+isBeingBuilt, g.SpaceID, ahead)
	if err != nil {
		return err
	}
	if tag.RowsAffected() == 0 {
		return fault.New(fault.Conflict, "it is needed again")
	}
	return dropOwnTable(ctx, tx, g.SpaceID)
}

// dropOwnTable drops a space's own table, if it has one, once nobody writes to the
// space.
func dropOwnTable(ctx context.Context, tx pgx.Tx, space int64) error {
	var batch pgx.Batch
	queueSetMoveLockTimeout(&batch)
	batch.Queue(lockStorageExclusive, space)
	batch.Queue(`SELECT drop_partition($1)`, space)
	return tx.SendBatch(ctx, &batch).Close()
}

// deleteSpaceRows removes up to limit rows of a space that is dropped, and the space
// with the last of them. It returns how many, or none when others have locked
// what is left.
func deleteSpaceRows(ctx context.Context, tx pgx.Tx, space int64, limit int) (dropped int, err error) {
	places, more, err := deleteSpaceEntries(ctx, tx, space, limit)
	if err != nil || more {
		return places, err
	}
	for _, statement := range []string{deleteSpaceVersions, deleteSharedPassages, deleteSharedLongPassages, deleteSpaceRow} {
		tag, err := tx.Exec(ctx, statement, space, limit-dropped)
		if err != nil {
			return 0, err
		}
		dropped += int(tag.RowsAffected())
	}
	return dropped, nil
}

// deleteSpaceEntries goes on through the documents of the space's collection, and
// removes up to limit of their places in the space. Rows that others have locked
// are passed over: these remove them. It returns how many it removed, at least 1
// while there may be more.
func deleteSpaceEntries(ctx context.Context, tx pgx.Tx, space int64, limit int) (done int, more bool, err error) {
	page, err := queryAll(ctx, tx, pgx.RowTo[uuid.UUID], `
		SELECT d.id
		FROM documents d
		WHERE d.collection = (SELECT collection FROM spaces WHERE id = $1)
		  AND d.id > (SELECT coalesce(dropped_to, '00000000-0000-0000-0000-000000000000') FROM spaces WHERE id = $1)
		ORDER BY d.id
		LIMIT $2`, space, deletePageDocuments)
	if err != nil || len(page) == 0 {
		return 0, false, err
	}
	tag, err := tx.Exec(ctx, `
		DELETE FROM manifest
		WHERE ctid = ANY (ARRAY(
			SELECT place.ctid
			FROM unnest($2::uuid[]) AS page (id)
			CROSS JOIN LATERAL (SELECT ctid FROM manifest WHERE document = page.id AND space = $1 LIMIT $3 FOR UPDATE SKIP LOCKED) AS place
			LIMIT $3))`, space, page, limit)
	if err != nil || int(tag.RowsAffected()) == limit {
		return limit, true, err
	}
	_, err = tx.Exec(ctx, `UPDATE spaces SET dropped_to = $2 WHERE id = $1`, space, page[len(page)-1])
	return max(1, int(tag.RowsAffected())), true, err
}

// deletePageDocuments is how many documents dropPlaces goes through at a time.
const deletePageDocuments = 500

// The order has PostgreSQL use an index: otherwise it would read past all that
// was removed the times before.
const (
	deleteSpaceVersions = `
		DELETE FROM space_versions
		WHERE ctid = ANY (ARRAY(
			SELECT ctid FROM space_versions
			WHERE space = $1
			ORDER BY document
			LIMIT $2
			FOR UPDATE SKIP LOCKED))`
	deleteSharedPassages = `
		DELETE FROM shared_passages
		WHERE ctid = ANY (ARRAY(SELECT ctid FROM shared_passages WHERE space = $1 ORDER BY hash LIMIT $2))`
	deleteSharedLongPassages = `
		DELETE FROM shared_passages_long
		WHERE ctid = ANY (ARRAY(SELECT ctid FROM shared_passages_long WHERE space = $1 ORDER BY hash LIMIT $2))`
	deleteSpaceRow = `
		DELETE FROM spaces
		WHERE id = $1 AND $2 > 0
		  AND NOT EXISTS (SELECT FROM space_versions WHERE space = $1)
		  AND NOT EXISTS (SELECT FROM shared_passages WHERE space = $1)
		  AND NOT EXISTS (SELECT FROM shared_passages_long WHERE space = $1)`
)

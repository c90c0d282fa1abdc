package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/garbage"
)

// collectSpace removes a space that is no longer retained: first its own table, then, up
// to limit rows at a time, what names its passages, those in the shared table, and the
// space itself last. When the first is done, drop_after is '-infinity', and the space is
// never used again.
//
// The entry of a space that is used again is deleted: retiring it adds another.
func collectSpace(ctx context.Context, tx pgx.Tx, g garbage.Entry, ahead time.Duration, limit int) (more bool, err error) {
	var removing bool
	err = tx.QueryRow(ctx, `SELECT `+isBeingRemoved+` FROM spaces s WHERE s.id = $1`, g.SpaceID).Scan(&removing)
	switch {
	case isNoRows(err):
		return false, deleteGarbageEntries(ctx, tx, g)
	case err != nil:
		return false, err
	case !removing:
		return dropSpacePassages(ctx, tx, g, ahead)
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

// isBeingRemoved is the condition for the rows of a space s to be in removal.
const isBeingRemoved = `coalesce(s.drop_after = '-infinity', false)`

// dropSpacePassages drops the passages of a space, unless it is needed again. Readers do
// not wait for long: if they hold the table, the entry is postponed. What decides is read
// when the collection is locked.
func dropSpacePassages(ctx context.Context, tx pgx.Tx, g garbage.Entry, ahead time.Duration) (more bool, err error) {
	c, err := lockCollection(ctx, tx, `c.id = (SELECT collection FROM spaces WHERE id = $1)`, g.SpaceID)
	if err != nil {
		return false, err
	}
	var built, removing bool
	if err := tx.QueryRow(ctx, `SELECT `+isBeingBuilt+`, `+isBeingRemoved+` FROM spaces s WHERE s.id = $1`, g.SpaceID).Scan(&built, &removing); err != nil && !isNoRows(err) {
		return false, err
	}
	if removing { // since collectSpace looked
		return true, nil
	}
	needed, err := c.CollectSpace(g.SpaceID, built, ahead, c.now)
	switch {
	case err != nil:
		return false, err
	case needed:
		return false, deleteGarbageEntries(ctx, tx, g)
	}
	if _, err := tx.Exec(ctx, `UPDATE spaces SET written = false, drop_after = '-infinity' WHERE id = $1`, g.SpaceID); err != nil {
		return false, err
	}
	return true, dropOwnTable(ctx, tx, g.SpaceID)
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

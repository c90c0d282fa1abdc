package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/internal/task"
)

// collectVersion removes up to limit places of a version, and the version with
// the last of them, unless readers may see it or its job has not ended.
//
// The entry of a version that readers see is dropped: whatever supersedes it, or
// deletes its document, lists it again.
func collectVersion(ctx context.Context, tx pgx.Tx, g garbage.Entry, ahead time.Duration, limit int) (more bool, err error) {
	needed, err := lockVersion(ctx, tx, g)
	if err != nil {
		return false, err
	}
	if needed {
		return false, deleteGarbageEntries(ctx, tx, g)
	}
	if wait, err := postponeUntilJobAged(ctx, tx, g, ahead); err != nil || wait > 0 {
		return false, err
	}
	removed, err := deleteManifestEntries(ctx, tx, g, limit)
	if err != nil || removed == limit {
		return true, err
	}
	if err := deleteVersion(ctx, tx, g); err != nil {
		return false, err
	}
	return false, deleteGarbageEntries(ctx, tx, g)
}

// lockVersion locks the document of a version against everybody, and reports
// whether the version is needed: it is published or the newest of a document
// that is not deleted. Of a document that is gone there may be rows still.
func lockVersion(ctx context.Context, tx pgx.Tx, g garbage.Entry) (needed bool, err error) {
	err = tx.QueryRow(ctx, `
		SELECT deleted_at IS NULL AND ($2 = newest_version OR $2 IS NOT DISTINCT FROM published_version)
		FROM documents WHERE id = $1
		FOR UPDATE`, g.DocumentID, g.Version).Scan(&needed)
	if isNoRows(err) {
		return false, nil
	}
	return needed, err
}

// postponeUntilJobAged postpones a version until its job has ended long enough ago, and says
// how long that is. Those that follow the job must see its end. That of a
// deleted document has ended, and nobody follows it.
func postponeUntilJobAged(ctx context.Context, tx pgx.Tx, g garbage.Entry, ahead time.Duration) (wait time.Duration, err error) {
	var ended bool
	err = tx.QueryRow(ctx, `
		SELECT j.finished_at IS NOT NULL,
		       CASE WHEN d.deleted_at IS NULL THEN coalesce(j.finished_at + $3::interval - clock_timestamp(), '0') ELSE '0' END
		FROM jobs j
		JOIN documents d ON d.id = j.document
		WHERE j.document = $1 AND j.version = $2`, g.DocumentID, g.Version, garbage.JobRetention-ahead).Scan(&ended, &wait)
	switch {
	case isNoRows(err):
		return 0, nil
	case err != nil:
		return 0, err
	case !ended:
		return 0, fault.New(fault.Conflict, "its job has not ended")
	case wait > 0:
		_, err = tx.Exec(ctx, `UPDATE garbage SET due_at = clock_timestamp() + $2::interval WHERE id = $1`, g.ID, wait+ahead)
	}
	return wait, err
}

// deleteManifestEntries removes up to limit places of a version, and lists their
// passages. Those of a space in which the version does not stand whole were paid
// for by an attempt that failed.
func deleteManifestEntries(ctx context.Context, tx pgx.Tx, g garbage.Entry, limit int) (removed int, err error) {
	err = tx.QueryRow(ctx, `
		WITH deleted AS (
			DELETE FROM manifest
			WHERE ctid = ANY (ARRAY(SELECT ctid FROM manifest WHERE document = $4 AND version = $5 LIMIT $6))
			RETURNING space, hash
		), gone AS (
			SELECT d.space, d.hash, CASE WHEN p.space IS NULL THEN clock_timestamp() + $7::interval ELSE clock_timestamp() END AS due_at
			FROM deleted d
			LEFT JOIN space_versions p ON p.document = $4 AND p.version = $5 AND p.space = d.space
		), listed AS (`+insertGarbagePassages+`)
		SELECT count(*) FROM deleted`,
		nil, nil, garbage.MaxEntryHashes, g.DocumentID, g.Version, limit, garbage.PassageRetention).Scan(&removed)
	return removed, err
}

// deleteVersion deletes a version that has no places; its job, tasks and summary
// go with it, and the document with its last version. What it used of section
// summaries is listed for DropSections, and its object, unless another version
// shares it: no version comes to share that of an obsolete one.
func deleteVersion(ctx context.Context, tx pgx.Tx, g garbage.Entry) error {
	var batch pgx.Batch
	batch.Queue(`
		INSERT INTO garbage (kind, object)
		SELECT 'object', v.object
		FROM versions v
		WHERE v.document = $1 AND v.version = $2
		  AND NOT EXISTS (SELECT FROM versions o WHERE o.object = v.object AND (o.document, o.version) <> ($1, $2))`, g.DocumentID, g.Version)
	batch.Queue(`
		WITH released AS (DELETE FROM version_sections WHERE document = $1 AND version = $2 RETURNING node)
		INSERT INTO released_sections (node)
		SELECT node FROM released ORDER BY node
		ON CONFLICT (node, tenant) DO UPDATE
		SET released_at = greatest(released_sections.released_at, excluded.released_at)`, g.DocumentID, g.Version)
	batch.Queue(`DELETE FROM versions WHERE document = $1 AND version = $2`, g.DocumentID, g.Version)
	batch.Queue(`
		DELETE FROM documents d
		WHERE id = $1 AND NOT EXISTS (SELECT FROM versions v WHERE v.document = d.id)`, g.DocumentID)
	return tx.SendBatch(ctx, &batch).Close()
}

// queueDeleteAttemptEntries removes the places that an attempt before has left of a
// version, and lists their passages: the next attempt may place them again.
func queueDeleteAttemptEntries(batch *pgx.Batch, t task.Ref) {
	batch.Queue(`
		WITH gone AS (
			DELETE FROM manifest WHERE document = $1 AND version = $2
			RETURNING space, hash, clock_timestamp() + $4::interval AS due_at
		)`+insertGarbagePassages, t.DocumentID, t.Version, garbage.MaxEntryHashes, garbage.PassageRetention)
}

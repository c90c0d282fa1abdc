package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// WriteToSpace stores what a reindex has rebuilt. The fence comes last, as in Write.
// Once this attempt has got somewhere, those before it no longer count.
func (s *Store) WriteToSpace(ctx context.Context, work task.Work, rebuilt rebuild.SpaceWrite, progress document.ReindexProgress) (err error) {
	defer wrapError(&err, "place %d passages and %d documents of %s", len(rebuilt.New), len(rebuilt.Versions), work)
	return s.inTenant(ctx, func(tx pgx.Tx) error {
		if err := checkReindexLease(ctx, tx, work); err != nil {
			return err
		}
		versions, err := holdPublished(ctx, tx, rebuilt.Versions)
		if err != nil {
			return fmt.Errorf("hold documents: %w", err)
		}
		space, err := holdSpace(ctx, tx, work.Space.ID)
		if err != nil {
			return err
		}
		if err := ensurePassages(ctx, tx, space, rebuilt.New, versions); err != nil {
			return err
		}
		if err := writeSpaceVersions(ctx, tx, work.Space.ID, versions); err != nil {
			return err
		}
		if err := insertUnplacedGarbage(ctx, tx, work.Space.ID, rebuilt.New, versions); err != nil {
			return err
		}
		further := len(rebuilt.New) > 0 || rebuilt.Checkpoint != uuid.Nil
		return fenceReindex(ctx, tx, work, `
			UPDATE reindexes SET progress = $3, last_document = coalesce($4, last_document),
			                     attempt = CASE WHEN $5 THEN 1 ELSE attempt END,
			                     crashes = CASE WHEN $5 THEN 0 ELSE crashes END
			WHERE id = $1 AND lease = $2`, progress, nullIfZero(rebuilt.Checkpoint), further)
	})
}

// insertUnplacedGarbage lists new passages that have no place: those of a unit that could
// not be embedded whole, and those of a version that is not published any more.
func insertUnplacedGarbage(ctx context.Context, tx pgx.Tx, space int64, passages []vector.EmbeddedPassage, versions []rebuild.VersionWrite) error {
	placed := make(map[document.ContentHash]bool)
	for _, v := range versions {
		for _, place := range v.Entries {
			placed[place.Hash] = true
		}
	}
	var unplaced []document.ContentHash
	for _, p := range passages {
		if !placed[p.Hash] {
			unplaced = append(unplaced, p.Hash)
		}
	}
	var batch pgx.Batch
	queueInsertGarbagePassages(&batch, space, unplaced)
	return tx.SendBatch(ctx, &batch).Close()
}

// holdPublished returns those that are places of their document's live version, and
// keeps Collect from the documents until the transaction ends: it could not see
// the places, and would leave them behind. The second statement begins when
// the locks are held.
func holdPublished(ctx context.Context, tx pgx.Tx, versions []rebuild.VersionWrite) ([]rebuild.VersionWrite, error) {
	if len(versions) == 0 {
		return nil, nil
	}
	ids := make([]uuid.UUID, len(versions))
	for i, v := range versions {
		ids[i] = v.DocumentID
	}
	live := make(map[uuid.UUID]int, len(ids))
	var batch pgx.Batch
	batch.Queue(`SELECT FROM documents WHERE id = ANY ($1) ORDER BY id FOR KEY SHARE`, ids)
	batch.Queue(`
		SELECT id, published_version
		FROM documents
		WHERE id = ANY ($1) AND deleted_at IS NULL AND published_version IS NOT NULL`, ids).Query(func(rows pgx.Rows) error {
		var id uuid.UUID
		var version int
		_, err := pgx.ForEachRow(rows, []any{&id, &version}, func() error {
			live[id] = version
			return nil
		})
		return err
	})
	err := tx.SendBatch(ctx, &batch).Close()
	return slices.DeleteFunc(slices.Clone(versions), func(v rebuild.VersionWrite) bool {
		return live[v.DocumentID] != v.Version
	}), err
}

// writeSpaceVersions writes places, and which versions are whole with them. Places
// that begin at the first one replace what was placed before.
func writeSpaceVersions(ctx context.Context, tx pgx.Tx, space int64, versions []rebuild.VersionWrite) error {
	var again, whole versionKeys
	var passages []int64
	var leftOut []*string
	var warnings []document.Warnings
	for _, v := range versions {
		if len(v.Entries) > 0 && v.Entries[0].Ordinal == 0 || v.TotalEntries == 0 {
			again.add(v.DocumentID, v.Version)
		}
		if v.TotalEntries >= 0 {
			whole.add(v.DocumentID, v.Version)
			passages, leftOut = append(passages, v.TotalEntries), append(leftOut, nullIfZero(lifecycle.Storable(v.LeftOutReason)))
			warnings = append(warnings, append(document.Warnings{}, v.Warnings...))
		}
	}
	var batch pgx.Batch
	again.queueDeleteEntries(&batch, space)
	again.queueDeleteSpaceVersions(&batch, space)
	queueInsertManifest(&batch, space, versions)
	if len(whole.documents) > 0 {
		batch.Queue(`
			INSERT INTO space_versions (document, version, space, passages, left_out, warnings)
			SELECT document, version, $1, passages, left_out, warnings
			FROM unnest($2::uuid[], $3::integer[], $4::bigint[], $5::text[], $6::jsonb[]) AS whole (document, version, passages, left_out, warnings)
			ON CONFLICT (tenant, document, version, space)
			DO UPDATE SET passages = excluded.passages, left_out = excluded.left_out, warnings = excluded.warnings`,
			space, whole.documents, whole.versions, passages, leftOut, warnings)
	}
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return err
	}
	return checkEntryCounts(ctx, tx, space, whole)
}

// versionKeys names versions, as arrays for a statement.
type versionKeys struct {
	documents []uuid.UUID
	versions  []int
}

func (k *versionKeys) add(id uuid.UUID, version int) {
	k.documents, k.versions = append(k.documents, id), append(k.versions, version)
}

// queueDeleteEntries deletes the versions' places in a space, and lists their
// passages.
func (k versionKeys) queueDeleteEntries(batch *pgx.Batch, space int64) {
	if len(k.documents) == 0 {
		return
	}
	batch.Queue(`
		WITH gone AS (
			DELETE FROM manifest
			WHERE space = $4 AND (document, version) IN (SELECT * FROM unnest($5::uuid[], $6::integer[]))
			RETURNING space, hash, clock_timestamp() + $7::interval AS due_at
		)`+insertGarbagePassages, nil, nil, garbage.MaxEntryHashes, space, k.documents, k.versions, garbage.PassageRetention)
}

// queueDeleteSpaceVersions deletes that the versions stand whole in a space.
func (k versionKeys) queueDeleteSpaceVersions(batch *pgx.Batch, space int64) {
	if len(k.documents) == 0 {
		return
	}
	batch.Queue(`
		DELETE FROM space_versions
		WHERE space = $1 AND (document, version) IN (SELECT * FROM unnest($2::uuid[], $3::integer[]))`,
		space, k.documents, k.versions)
}

// checkEntryCounts fails unless versions that are said to be whole have as many
// places as that takes.
func checkEntryCounts(ctx context.Context, tx pgx.Tx, space int64, whole versionKeys) error {
	if len(whole.documents) == 0 {
		return nil
	}
	var id uuid.UUID
	var version int
	var want, places int64
	err := tx.QueryRow(ctx, `
		SELECT p.document, p.version, p.passages, count(m.ordinal)
		FROM unnest($2::uuid[], $3::integer[]) AS whole (document, version)
		JOIN space_versions p ON p.document = whole.document AND p.version = whole.version AND p.space = $1
		LEFT JOIN manifest m ON m.document = p.document AND m.version = p.version AND m.space = $1
		GROUP BY p.document, p.version, p.passages
		HAVING p.passages <> count(m.ordinal)
		LIMIT 1`, space, whole.documents, whole.versions).Scan(&id, &version, &want, &places)
	if isNoRows(err) {
		return nil
	}
	if err == nil {
		err = fmt.Errorf("version %d of document %s has %d places in space %d, want %d", version, id, places, space, want)
	}
	return err
}

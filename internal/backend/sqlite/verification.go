package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/verification"
)

// RetainedVersions returns the versions of the next documents after one that must be whole.
// Each filter has its own statement, so that it goes by the index that serves it.
func (s *Store) RetainedVersions(ctx context.Context, filter verification.Filter, after uuid.UUID, limit int) (kept []verification.RetainedVersion, err error) {
	defer wrapError(&err, "list versions after document %s", after)
	where := "tenant = ?1 AND id > ?2"
	if filter.DocumentID != uuid.Nil {
		where += " AND id = ?4"
	}
	if filter.Collection != "" {
		where += " AND collection = (SELECT id FROM collections WHERE tenant = ?1 AND name = ?5)"
	}
	err = s.inReadTransaction(ctx, func(tx transaction) error {
		rows, err := tx.QueryContext(ctx, `
			WITH page AS MATERIALIZED (
				SELECT id, collection, key, newest_version, published_version
				FROM documents
				WHERE `+where+` AND deleted_at IS NULL
				ORDER BY id
				LIMIT ?3
			)
			SELECT d.id, v.version, c.name, d.key, v.object, v.size, v.sha256, v.object_etag, v.damage, v.version IS d.published_version,
			       s.id, s.collection, s.model, s.dimensions,
			       coalesce((SELECT p.passages FROM space_versions p
			                 WHERE p.tenant = ?1 AND p.document = d.id AND p.version = v.version AND p.space = c.active_space), -1)
			FROM page d
			JOIN collections c ON c.tenant = ?1 AND c.id = d.collection
			JOIN spaces s      ON s.tenant = ?1 AND s.id = c.active_space
			JOIN versions v    ON v.tenant = ?1 AND v.document = d.id AND v.version IN (d.newest_version, d.published_version)
			ORDER BY d.id, v.version`,
			tx.tenant, after, limit, filter.DocumentID, filter.Collection)
		kept, err = collectRows(rows, err, scanRetainedVersion)
		return err
	})
	return kept, err
}

func scanRetainedVersion(row scanner) (k verification.RetainedVersion, err error) {
	o, s := &k.Original, &k.Space
	err = row.Scan(&k.DocumentID, &k.Version, &k.Collection, &k.Key, &o.Object, &o.Size, &o.SHA256, &o.ETag, &k.Damage, &k.Published,
		&s.ID, &s.CollectionID, &s.Model.Name, &s.Model.Dimensions, &k.Passages)
	return k, err
}

// ManifestPassages returns the places of a kept version from an ordinal on, in
// order, with what stands there.
func (s *Store) ManifestPassages(ctx context.Context, of verification.RetainedVersion, from, limit int) (placed []verification.ManifestPassage, err error) {
	defer wrapError(&err, "read places of version %d of document %s", of.Version, of.DocumentID)
	err = s.inReadTransaction(ctx, func(tx transaction) error {
		rows, err := tx.QueryContext(ctx, `
			SELECT p.hash, m.ordinal, m.start_byte, m.end_byte, coalesce(p.content, ''), coalesce(length(p.embedding) / 4, -1)
			FROM manifest m
			LEFT JOIN passages p ON p.tenant = m.tenant AND p.id = m.passage
			WHERE m.tenant = ?1 AND m.document = ?2 AND m.version = ?3 AND m.space = ?4 AND m.ordinal >= ?5
			ORDER BY m.ordinal
			LIMIT ?6`, tx.tenant, of.DocumentID, of.Version, of.Space.ID, from, limit)
		placed, err = collectRows(rows, err, func(row scanner) (p verification.ManifestPassage, err error) {
			var hash []byte
			err = row.Scan(&hash, &p.Ordinal, &p.Start, &p.End, &p.Content, &p.Dimensions)
			copy(p.Hash[:], hash)
			return p, err
		})
		return err
	})
	return placed, err
}

// RecordVersionCheck notes what a comparison of a kept version has found.
func (s *Store) RecordVersionCheck(ctx context.Context, of verification.RetainedVersion, etag, damage string) (err error) {
	defer wrapError(&err, "note the comparison of version %d of document %s", of.Version, of.DocumentID)
	return s.inWriteTransaction(ctx, func(tx transaction) error {
		_, err := tx.ExecContext(ctx, `
			UPDATE versions SET object_etag = ?5, damage = ?6
			WHERE tenant = ?1 AND document = ?2 AND version = ?3 AND object = ?4 AND (object_etag <> ?5 OR damage <> ?6)`,
			tx.tenant, of.DocumentID, of.Version, of.Original.Object, etag, lifecycle.Storable(damage))
		return err
	})
}

// UnreferencedObjects returns those of the objects that no version and no upload names.
func (s *Store) UnreferencedObjects(ctx context.Context, objects []string) (unreferenced []string, err error) {
	defer wrapError(&err, "look for objects that nothing names")
	names, err := json.Marshal(append([]string{}, objects...)) // never null
	if err != nil {
		return nil, err
	}
	err = s.inReadTransaction(ctx, func(tx transaction) error {
		rows, err := tx.QueryContext(ctx, `
			SELECT o.value
			FROM json_each(?2) o
			WHERE NOT EXISTS (SELECT 1 FROM versions v WHERE v.tenant = ?1 AND v.object = o.value)
			  AND NOT EXISTS (SELECT 1 FROM uploads u WHERE u.tenant = ?1 AND u.object = o.value)
			  AND NOT EXISTS (SELECT 1 FROM garbage g WHERE g.tenant = ?1 AND g.kind = 'object' AND g.object = o.value)`, tx.tenant, string(names))
		unreferenced, err = collectRows(rows, err, func(row scanner) (object string, err error) { return object, row.Scan(&object) })
		return err
	})
	return unreferenced, err
}

// VerificationProgress returns how far the pass over the tenant's documents is.
func (s *Store) VerificationProgress(ctx context.Context) (v verification.Progress, err error) {
	defer wrapError(&err, "read the verification")
	err = s.inReadTransaction(ctx, func(tx transaction) error {
		var started micros
		err := tx.QueryRowContext(ctx, `
			SELECT last_document, documents, bytes, findings, started_at FROM verifications WHERE tenant = ?1`, tx.tenant).
			Scan(&v.Checkpoint, &v.Documents, &v.Bytes, &v.Findings, &started)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		v.StartedAt = started.time()
		return err
	})
	return v, err
}

// SaveVerificationProgress keeps how far the pass is.
func (s *Store) SaveVerificationProgress(ctx context.Context, v verification.Progress) (err error) {
	defer wrapError(&err, "save the verification")
	return s.inWriteTransaction(ctx, func(tx transaction) error {
		_, err := tx.ExecContext(ctx, `
			INSERT OR REPLACE INTO verifications (tenant, last_document, documents, bytes, findings, started_at)
			VALUES (?1, ?2, ?3, ?4, ?5, ?6)`, tx.tenant, v.Checkpoint, v.Documents, v.Bytes, v.Findings, microsOf(v.StartedAt))
		return err
	})
}

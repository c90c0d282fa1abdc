package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/verification"
)

// RetainedVersions returns the versions of the next documents after one that must be whole.
// Each filter has its own statement, so that it goes by the index that serves it.
func (s *Store) RetainedVersions(ctx context.Context, filter verification.Filter, after uuid.UUID, limit int) (kept []verification.RetainedVersion, err error) {
	defer wrapError(&err, "list versions after document %s", after)
	where, args := "d.id > $1", []any{after, limit}
	if filter.DocumentID != uuid.Nil {
		where, args = where+" AND d.id = $3", append(args, filter.DocumentID)
	}
	if filter.Collection != "" {
		args = append(args, filter.Collection)
		where += fmt.Sprintf(" AND d.collection = (SELECT c.id FROM collections c WHERE c.name = $%d)", len(args))
	}
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		kept, err = queryAll(ctx, tx, scanRetainedVersion, `
			WITH page AS MATERIALIZED (
				SELECT d.id, d.collection, d.key, d.newest_version, d.published_version
				FROM documents d
				WHERE `+where+` AND d.deleted_at IS NULL
				ORDER BY d.id
				LIMIT $2
			)
			SELECT d.id, v.version, c.name, d.key, v.object, v.size, v.sha256, v.object_etag, v.damage, v.version IS NOT DISTINCT FROM d.published_version,
			       s.id, s.collection, s.model, s.dimensions,
			       coalesce((SELECT p.passages FROM space_versions p
			                 WHERE p.document = d.id AND p.version = v.version AND p.space = c.active_space), -1)
			FROM page d
			JOIN collections c ON c.id = d.collection
			JOIN spaces s ON s.id = c.active_space
			JOIN versions v ON v.document = d.id AND v.version IN (d.newest_version, d.published_version)
			ORDER BY d.id, v.version`, args...)
		return err
	})
	return kept, err
}

func scanRetainedVersion(row pgx.CollectableRow) (k verification.RetainedVersion, err error) {
	o, s := &k.Original, &k.Space
	err = row.Scan(&k.DocumentID, &k.Version, &k.Collection, &k.Key, &o.Object, &o.Size, &o.SHA256, &o.ETag, &k.Damage, &k.Published,
		&s.ID, &s.CollectionID, &s.Model.Name, &s.Model.Dimensions, &k.Passages)
	return k, err
}

// ManifestPassages returns the places of a kept version from an ordinal on, in
// order, with what stands there.
func (s *Store) ManifestPassages(ctx context.Context, of verification.RetainedVersion, from, limit int) (placed []verification.ManifestPassage, err error) {
	defer wrapError(&err, "read places of version %d of document %s", of.Version, of.DocumentID)
	err = s.inSnapshot(ctx, func(tx pgx.Tx) error {
		space, err := readSpace(ctx, tx, of.Space.ID)
		if isNoRows(err) {
			return nil
		}
		if err != nil {
			return err
		}
		placed, err = queryAll(ctx, tx, scanManifestPassage, `
			SELECT m.hash, m.ordinal, m.start_byte, m.end_byte, coalesce(p.content, ''), coalesce(vector_dims(p.embedding), -1)
			FROM manifest m
			LEFT JOIN LATERAL (SELECT * FROM `+passagesTable(space)+` p WHERE p.space = $3 AND p.hash = m.hash OFFSET 0) p ON true
			WHERE m.document = $1 AND m.version = $2 AND m.space = $3 AND m.ordinal >= $4
			ORDER BY m.ordinal
			LIMIT $5`, of.DocumentID, of.Version, space.ID, from, limit)
		return err
	})
	return placed, err
}

func scanManifestPassage(row pgx.CollectableRow) (p verification.ManifestPassage, err error) {
	var hash []byte
	err = row.Scan(&hash, &p.Ordinal, &p.Start, &p.End, &p.Content, &p.Dimensions)
	copy(p.Hash[:], hash)
	return p, err
}

// RecordVersionCheck notes what a comparison of a kept version has found.
func (s *Store) RecordVersionCheck(ctx context.Context, of verification.RetainedVersion, etag, damage string) (err error) {
	defer wrapError(&err, "note the comparison of version %d of document %s", of.Version, of.DocumentID)
	return s.inTenant(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			UPDATE versions SET object_etag = $4, damage = $5
			WHERE document = $1 AND version = $2 AND object = $3 AND (object_etag, damage) IS DISTINCT FROM ($4, $5)`,
			of.DocumentID, of.Version, of.Original.Object, etag, lifecycle.Storable(damage))
		return err
	})
}

// UnreferencedObjects returns those of the objects that no version and no upload names.
// OFFSET 0 has PostgreSQL look each of them up by its index.
func (s *Store) UnreferencedObjects(ctx context.Context, objects []string) (unreferenced []string, err error) {
	defer wrapError(&err, "look for objects that nothing names")
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		unreferenced, err = queryAll(ctx, tx, pgx.RowTo[string], `
			SELECT o.object
			FROM unnest($1::text[]) AS o (object)
			WHERE NOT EXISTS (SELECT FROM versions v WHERE v.object = o.object OFFSET 0)
			  AND NOT EXISTS (SELECT FROM uploads u WHERE u.object = o.object OFFSET 0)
			  AND NOT EXISTS (SELECT FROM garbage g WHERE g.kind = 'object' AND g.object = o.object OFFSET 0)`, objects)
		return err
	})
	return unreferenced, err
}

// VerificationProgress returns how far the pass over the tenant's documents is.
func (s *Store) VerificationProgress(ctx context.Context) (v verification.Progress, err error) {
	defer wrapError(&err, "read the verification")
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `SELECT last_document, documents, bytes, findings, started_at FROM verifications`).
			Scan(&v.Checkpoint, &v.Documents, &v.Bytes, &v.Findings, &v.StartedAt)
		v.StartedAt = v.StartedAt.UTC()
		if isNoRows(err) {
			v, err = verification.Progress{}, nil
		}
		return err
	})
	return v, err
}

// SaveVerificationProgress keeps how far the pass is.
func (s *Store) SaveVerificationProgress(ctx context.Context, v verification.Progress) (err error) {
	defer wrapError(&err, "save the verification")
	return s.inTenant(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			INSERT INTO verifications (last_document, documents, bytes, findings, started_at)
			VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (tenant) DO UPDATE SET
				last_document = excluded.last_document, documents = excluded.documents, bytes = excluded.bytes,
				findings = excluded.findings, started_at = excluded.started_at`,
			v.Checkpoint, v.Documents, v.Bytes, v.Findings, v.StartedAt.Truncate(time.Microsecond))
		return err
	})
}

package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/garbage"
)

// ScheduleGarbageScan lists a search for garbage that no list names, unless one is listed.
func (s *Store) ScheduleGarbageScan(ctx context.Context) (err error) {
	defer wrapError(&err, "list a search for garbage")
	return s.inTenant(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			INSERT INTO garbage (kind) SELECT 'search' WHERE NOT EXISTS (SELECT FROM garbage WHERE kind = 'search')`)
		return err
	})
}

// ScanForGarbage looks through the next rows for garbage that no list names, and
// lists it. Each statement sees one state of the database, in which whatever is
// garbage is listed, since one transaction does both.
func (s *Store) ScanForGarbage(ctx context.Context, from garbage.ScanCursor, limit int) (next garbage.ScanCursor, found garbage.ScanCounts, err error) {
	defer wrapError(&err, "search for garbage in %s", from.Stage)
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		next, found = from, garbage.ScanCounts{}
		switch from.Stage {
		case garbage.ScanVersions:
			return findGarbageVersions(ctx, tx, &next, &found, limit)
		case garbage.ScanSpaces:
			return findGarbageSpaces(ctx, tx, &next, &found)
		case garbage.ScanManifest:
			return findGarbageManifest(ctx, tx, &next, &found, limit)
		case garbage.ScanPassages:
			return findGarbagePassages(ctx, tx, &next, &found, limit)
		case garbage.ScanSections:
			return findGarbageSections(ctx, tx, &next, &found, limit)
		default:
			return fault.New(fault.BadRequest, "the search has ended, or is at a stage that is not known: %q", from.Stage)
		}
	})
	return next, found, err
}

// hasNoGarbageEntry is the condition for version v to be on no list.
const hasNoGarbageEntry = `NOT EXISTS (SELECT FROM garbage g WHERE g.kind = 'version' AND g.document = v.document AND g.version = v.version)`

// findGarbageVersions lists obsolete versions of the next documents.
func findGarbageVersions(ctx context.Context, tx pgx.Tx, at *garbage.ScanCursor, found *garbage.ScanCounts, limit int) error {
	var last *uuid.UUID
	if err := tx.QueryRow(ctx, `
		WITH page AS MATERIALIZED (
			SELECT id, newest_version, published_version, deleted_at FROM documents WHERE id > $1 ORDER BY id LIMIT $2
		), listed AS (
			INSERT INTO garbage (kind, document, version)
			SELECT 'version', v.document, v.version
			FROM page d
			JOIN versions v ON v.document = d.id
			WHERE (d.deleted_at IS NOT NULL OR v.version <> d.newest_version AND v.version IS DISTINCT FROM d.published_version)
			  AND `+hasNoGarbageEntry+`
			RETURNING id
		)
		SELECT (SELECT id FROM page ORDER BY id DESC LIMIT 1), (SELECT count(*) FROM listed)`,
		at.DocumentID, limit).Scan(&last, &found.Versions); err != nil {
		return err
	}
	if last == nil {
		*at = garbage.ScanCursor{Stage: garbage.ScanSpaces}
	} else {
		at.DocumentID = *last
	}
	return nil
}

// findGarbageSpaces lists spaces that were left.
func findGarbageSpaces(ctx context.Context, tx pgx.Tx, at *garbage.ScanCursor, found *garbage.ScanCounts) error {
	tag, err := tx.Exec(ctx, `
		INSERT INTO garbage (kind, space, due_at)
		SELECT 'space', id, greatest(drop_after, now())
		FROM spaces s
		WHERE drop_after IS NOT NULL
		  AND NOT EXISTS (SELECT FROM garbage g WHERE g.kind = 'space' AND g.space = s.id)`)
	found.Spaces = int(tag.RowsAffected())
	*at = garbage.ScanCursor{Stage: garbage.ScanManifest}
	return err
}

// findGarbageManifest lists the next versions that have places and are gone. It goes
// from version to version by the index.
func findGarbageManifest(ctx context.Context, tx pgx.Tx, at *garbage.ScanCursor, found *garbage.ScanCounts, limit int) error {
	var last *uuid.UUID
	var version *int
	if err := tx.QueryRow(ctx, `
		WITH RECURSIVE walk AS (
			(SELECT document, version FROM manifest WHERE (document, version) > ($1, $2) ORDER BY document, version LIMIT 1)
			UNION ALL
			SELECT n.document, n.version
			FROM walk w
			CROSS JOIN LATERAL (SELECT document, version FROM manifest
			                    WHERE (document, version) > (w.document, w.version)
			                    ORDER BY document, version LIMIT 1) AS n
		), page AS MATERIALIZED (
			SELECT * FROM walk LIMIT $3
		), listed AS (
			INSERT INTO garbage (kind, document, version)
			SELECT 'version', v.document, v.version
			FROM page v
			WHERE NOT EXISTS (SELECT FROM versions o WHERE o.document = v.document AND o.version = v.version)
			  AND `+hasNoGarbageEntry+`
			RETURNING id
		)
		SELECT l.document, l.version, (SELECT count(*) FROM listed)
		FROM (VALUES (1)) AS one
		LEFT JOIN (SELECT * FROM page ORDER BY document DESC, version DESC LIMIT 1) AS l ON true`,
		at.DocumentID, at.Version, limit).Scan(&last, &version, &found.Versions); err != nil {
		return err
	}
	if last == nil {
		*at = garbage.ScanCursor{Stage: garbage.ScanPassages}
	} else {
		at.DocumentID, at.Version = *last, *version
	}
	return nil
}

// findGarbagePassages lists the next passages of a space that stand nowhere, or goes
// on to the next space. Those are passed over that collectPassages leaves alone.
func findGarbagePassages(ctx context.Context, tx pgx.Tx, at *garbage.ScanCursor, found *garbage.ScanCounts, limit int) error {
	after := at.SpaceID // the space that is done
	if at.Hash != nil {
		after--
	}
	var id int64
	err := tx.QueryRow(ctx, `
		SELECT s.id
		FROM spaces s
		WHERE s.id > $1 AND s.written AND s.dimensions > 0 AND NOT `+isBeingBuilt+`
		ORDER BY s.id
		LIMIT 1`, after).Scan(&id)
	if isNoRows(err) {
		*at = garbage.ScanCursor{Stage: garbage.ScanSections}
		return nil
	}
	if err != nil {
		return err
	}
	if at.Hash == nil || id != at.SpaceID {
		at.SpaceID, at.Hash = id, []byte{}
	}
	space, err := holdSpace(ctx, tx, id)
	if fault.Is(err, fault.Conflict) {
		at.Hash = nil
		return nil
	}
	if err != nil {
		return err
	}
	var last []byte
	if err := tx.QueryRow(ctx, `
		WITH page AS MATERIALIZED (
			SELECT hash FROM `+passagesTable(space.Space)+` WHERE space = $1 AND hash > $2 ORDER BY hash LIMIT $3
		), orphan AS MATERIALIZED (
			SELECT hash FROM page p WHERE NOT EXISTS (SELECT FROM manifest m WHERE m.space = $1 AND m.hash = p.hash OFFSET 0)
		), unlisted AS MATERIALIZED (
			SELECT hash, (row_number() OVER () - 1) / $4::integer AS part
			FROM orphan o
			WHERE NOT EXISTS (SELECT FROM garbage g, unnest(g.hashes) AS listed
			                  WHERE g.kind = 'passages' AND g.space = $1 AND listed = o.hash)
		), listed AS (
			INSERT INTO garbage (kind, space, hashes, due_at)
			SELECT 'passages', $1, array_agg(hash), clock_timestamp() + $5::interval FROM unlisted GROUP BY part
		)
		SELECT (SELECT hash FROM page ORDER BY hash DESC LIMIT 1), (SELECT count(*) FROM unlisted)`,
		at.SpaceID, at.Hash, limit, garbage.MaxEntryHashes, garbage.PassageRetention).Scan(&last, &found.Passages); err != nil {
		return err
	}
	at.Hash = last // nil goes on to the next space
	return nil
}

// findGarbageSections lists the next section summaries that no version uses.
func findGarbageSections(ctx context.Context, tx pgx.Tx, at *garbage.ScanCursor, found *garbage.ScanCounts, limit int) error {
	if at.Hash == nil {
		at.Hash = []byte{}
	}
	var last []byte
	if err := tx.QueryRow(ctx, `
		WITH page AS MATERIALIZED (
			SELECT node FROM section_summaries WHERE node > $1 ORDER BY node LIMIT $2
		), listed AS (
			INSERT INTO released_sections (node)
			SELECT node FROM page p
			WHERE NOT EXISTS (SELECT FROM version_sections v WHERE v.node = p.node OFFSET 0)
			  AND NOT EXISTS (SELECT FROM released_sections r WHERE r.node = p.node OFFSET 0)
			ORDER BY node
			ON CONFLICT DO NOTHING
			RETURNING node
		)
		SELECT (SELECT node FROM page ORDER BY node DESC LIMIT 1), (SELECT count(*) FROM listed)`,
		at.Hash, limit).Scan(&last, &found.Sections); err != nil {
		return err
	}
	if at.Hash = last; last == nil {
		*at = garbage.ScanCursor{Stage: garbage.ScanEnded}
	}
	return nil
}

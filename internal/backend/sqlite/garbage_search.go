package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/garbage"
)

// ScheduleGarbageScan lists a search for garbage that no list names, unless one is listed.
func (s *Store) ScheduleGarbageScan(ctx context.Context) (err error) {
	defer wrapError(&err, "list a search for garbage")
	return s.inWriteTransaction(ctx, func(tx transaction) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO garbage (tenant, kind, due_at)
			SELECT ?1, 'search', ?2 WHERE NOT EXISTS (SELECT 1 FROM garbage WHERE tenant = ?1 AND kind = 'search')`, tx.tenant, tx.now)
		return err
	})
}

// ScanForGarbage looks through the next rows for garbage that no list names, and
// lists it. Places of versions that are gone there are none: the tables see to
// that.
func (s *Store) ScanForGarbage(ctx context.Context, from garbage.ScanCursor, limit int) (next garbage.ScanCursor, found garbage.ScanCounts, err error) {
	defer wrapError(&err, "search for garbage in %s", from.Stage)
	err = s.inWriteTransaction(ctx, func(tx transaction) error {
		next, found = from, garbage.ScanCounts{}
		switch from.Stage {
		case garbage.ScanVersions:
			return findGarbageVersions(ctx, tx, &next, &found, limit)
		case garbage.ScanSpaces:
			return findGarbageSpaces(ctx, tx, &next, &found)
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

// findGarbageVersions lists obsolete versions of the next documents.
func findGarbageVersions(ctx context.Context, tx transaction, at *garbage.ScanCursor, found *garbage.ScanCounts, limit int) error {
	rows, err := tx.QueryContext(ctx, `
		SELECT id FROM documents WHERE tenant = ?1 AND id > ?2 ORDER BY id LIMIT ?3`, tx.tenant, at.DocumentID, limit)
	page, err := collectRows(rows, err, scanID)
	if err != nil {
		return err
	}
	if len(page) == 0 {
		*at = garbage.ScanCursor{Stage: garbage.ScanSpaces}
		return nil
	}
	last := page[len(page)-1]
	found.Versions, err = rowsAffected(tx.ExecContext(ctx, `
		INSERT INTO garbage (tenant, kind, due_at, document, version)
		SELECT ?1, 'version', ?4, v.document, v.version
		FROM documents d
		CROSS JOIN versions v ON v.tenant = ?1 AND v.document = d.id
		WHERE d.tenant = ?1 AND d.id > ?2 AND d.id <= ?3
		  AND (d.deleted_at IS NOT NULL OR v.version <> d.newest_version AND v.version IS NOT d.published_version)
		  AND NOT EXISTS (SELECT 1 FROM garbage g
		                  WHERE g.tenant = ?1 AND g.kind = 'version' AND g.document = v.document AND g.version = v.version)`,
		tx.tenant, at.DocumentID, last, tx.now))
	at.DocumentID = last
	return err
}

// findGarbageSpaces lists spaces that were left.
func findGarbageSpaces(ctx context.Context, tx transaction, at *garbage.ScanCursor, found *garbage.ScanCounts) (err error) {
	found.Spaces, err = rowsAffected(tx.ExecContext(ctx, `
		INSERT INTO garbage (tenant, kind, due_at, space)
		SELECT ?1, 'space', max(s.drop_after, ?2), s.id
		FROM spaces s
		WHERE s.tenant = ?1 AND s.drop_after IS NOT NULL
		  AND NOT EXISTS (SELECT 1 FROM garbage g WHERE g.tenant = ?1 AND g.kind IN ('passages', 'space') AND g.kind = 'space' AND g.space = s.id)`, tx.tenant, tx.now))
	*at = garbage.ScanCursor{Stage: garbage.ScanPassages}
	return err
}

// findGarbagePassages lists the next passages of a space that stand nowhere, or goes
// on to the next space. Those are passed over that collectPassages leaves alone.
func findGarbagePassages(ctx context.Context, tx transaction, at *garbage.ScanCursor, found *garbage.ScanCounts, limit int) error {
	if at.Hash == nil {
		err := tx.QueryRowContext(ctx, `
			SELECT s.id FROM spaces s
			WHERE s.tenant = ?1 AND s.id > ?2 AND s.written AND NOT `+isBeingBuilt+`
			ORDER BY s.id LIMIT 1`, tx.tenant, at.SpaceID).Scan(&at.SpaceID)
		if errors.Is(err, sql.ErrNoRows) {
			*at = garbage.ScanCursor{Stage: garbage.ScanSections}
			return nil
		}
		if err != nil {
			return err
		}
		at.Hash = []byte{}
	}
	rows, err := tx.QueryContext(ctx, `
		SELECT hash FROM passages WHERE tenant = ?1 AND space = ?2 AND hash > ?3 ORDER BY hash LIMIT ?4`,
		tx.tenant, at.SpaceID, at.Hash, limit)
	page, err := collectRows(rows, err, scanHash)
	if err != nil {
		return err
	}
	if len(page) == 0 {
		at.Hash = nil
		return nil
	}
	last := page[len(page)-1]
	rows, err = tx.QueryContext(ctx, `
		SELECT p.hash
		FROM passages p
		WHERE p.tenant = ?1 AND p.space = ?2 AND p.hash > ?3 AND p.hash <= ?4
		  AND NOT EXISTS (SELECT 1 FROM manifest m WHERE m.passage = p.id)
		  AND NOT EXISTS (SELECT 1 FROM garbage g CROSS JOIN json_each(g.hashes) l
		                  WHERE g.tenant = ?1 AND g.kind IN ('passages', 'space') AND g.space = ?2 AND l.value = lower(hex(p.hash)))`,
		tx.tenant, at.SpaceID, at.Hash, last[:])
	unlisted, err := collectRows(rows, err, scanHash)
	if err != nil {
		return err
	}
	found.Passages, at.Hash = len(unlisted), last[:]
	return insertGarbagePassages(ctx, tx, at.SpaceID, unlisted)
}

// findGarbageSections lists the next section summaries that no version uses.
func findGarbageSections(ctx context.Context, tx transaction, at *garbage.ScanCursor, found *garbage.ScanCounts, limit int) error {
	if at.Hash == nil {
		at.Hash = []byte{}
	}
	rows, err := tx.QueryContext(ctx, `
		SELECT node FROM section_summaries WHERE tenant = ?1 AND node > ?2 ORDER BY node LIMIT ?3`, tx.tenant, at.Hash, limit)
	page, err := collectRows(rows, err, scanHash)
	if err != nil {
		return err
	}
	if len(page) == 0 {
		*at = garbage.ScanCursor{Stage: garbage.ScanEnded}
		return nil
	}
	last := page[len(page)-1]
	found.Sections, err = rowsAffected(tx.ExecContext(ctx, `
		INSERT INTO released_sections (tenant, node, released_at)
		SELECT ?1, s.node, ?4
		FROM section_summaries s
		WHERE s.tenant = ?1 AND s.node > ?2 AND s.node <= ?3
		  AND NOT EXISTS (SELECT 1 FROM version_sections v WHERE v.tenant = ?1 AND v.node = s.node)
		ON CONFLICT DO NOTHING`, tx.tenant, at.Hash, last[:], tx.now))
	at.Hash = last[:]
	return err
}

package sqlite

import (
	"context"
	"encoding/json"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Garbage returns the entries of the garbage list that are due first.
func (s *Store) Garbage(ctx context.Context, ahead time.Duration, limit int) (due []garbage.Entry, err error) {
	defer wrapError(&err, "list garbage")
	err = s.inReadTransaction(ctx, func(tx transaction) error {
		rows, err := tx.QueryContext(ctx, `
			SELECT id, kind, document, coalesce(version, 0), coalesce(object, ''), coalesce(space, 0), tries, coalesce(scan_cursor, '{}')
			FROM garbage
			WHERE tenant = ?1 AND due_at <= ?2
			ORDER BY due_at, id
			LIMIT ?3`, tx.tenant, tx.now.add(ahead), limit)
		due, err = collectRows(rows, err, scanGarbage)
		return err
	})
	return due, err
}

func scanGarbage(row scanner) (g garbage.Entry, err error) {
	var id uuid.NullUUID
	var reached string
	if err := row.Scan(&g.ID, &g.Kind, &id, &g.Version, &g.Object, &g.SpaceID, &g.Tries, &reached); err != nil {
		return g, err
	}
	g.DocumentID = id.UUID
	return g, json.Unmarshal([]byte(reached), &g.ScanCursor)
}

// DeleteGarbageEntries removes entries from the garbage list.
func (s *Store) DeleteGarbageEntries(ctx context.Context, entries ...garbage.Entry) (err error) {
	defer wrapError(&err, "remove %d entries from the garbage list", len(entries))
	return s.inWriteTransaction(ctx, func(tx transaction) error {
		for _, g := range entries {
			if err := deleteGarbageEntry(ctx, tx, g); err != nil {
				return err
			}
		}
		return nil
	})
}

func deleteGarbageEntry(ctx context.Context, tx transaction, g garbage.Entry) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM garbage WHERE tenant = ?1 AND id = ?2`, tx.tenant, g.ID)
	return err
}

// PostponeGarbage has an entry be due again after delay, and counts a try. Of a search
// it keeps how far that is.
func (s *Store) PostponeGarbage(ctx context.Context, g garbage.Entry, delay time.Duration) (err error) {
	defer wrapError(&err, "postpone entry %d of the garbage list", g.ID)
	reached, err := json.Marshal(g.ScanCursor)
	if err != nil {
		return err
	}
	return s.inWriteTransaction(ctx, func(tx transaction) error {
		_, err := tx.ExecContext(ctx, `
			UPDATE garbage SET due_at = ?3, tries = tries + 1, scan_cursor = iif(kind = 'search', ?4, NULL)
			WHERE tenant = ?1 AND id = ?2`, tx.tenant, g.ID, tx.now.add(delay), string(reached))
		return err
	})
}

// CollectGarbage removes what an entry names.
func (s *Store) CollectGarbage(ctx context.Context, g garbage.Entry, ahead time.Duration, limit int) (more bool, err error) {
	defer wrapError(&err, "collect garbage: %s", g)
	err = s.inWriteTransaction(ctx, func(tx transaction) (err error) {
		switch g.Kind {
		case garbage.KindVersion:
			more, err = collectVersion(ctx, tx, g, ahead, limit)
		case garbage.KindPassages:
			more, err = false, collectPassages(ctx, tx, g)
		case garbage.KindSpace:
			more, err = collectSpace(ctx, tx, g, ahead, limit)
		default:
			err = fault.New(fault.BadRequest, "the store does not remove what is of the kind %s", g.Kind)
		}
		return err
	})
	return more, err
}

// insertGarbageVersion adds an obsolete version to the garbage list. It does nothing for the version 0.
func insertGarbageVersion(ctx context.Context, tx transaction, of versionKey) error {
	if of.number == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, `
		INSERT INTO garbage (tenant, kind, due_at, document, version) VALUES (?1, 'version', ?2, ?3, ?4)`,
		tx.tenant, tx.now.add(garbage.JobRetention), of.document, of.number)
	return err
}

// insertGarbagePassages lists passages of a space that stand nowhere yet, or did not
// before.
func insertGarbagePassages(ctx context.Context, tx transaction, space int64, hashes []document.ContentHash) error {
	for len(hashes) > 0 {
		n := min(len(hashes), garbage.MaxEntryHashes)
		list, err := jsonHashes(hashes[:n])
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO garbage (tenant, kind, due_at, space, hashes) VALUES (?1, 'passages', ?2, ?3, ?4)`,
			tx.tenant, tx.now.add(garbage.PassageRetention), space, list); err != nil {
			return err
		}
		hashes = hashes[n:]
	}
	return nil
}

// noLimit is a limit that no version reaches.
const noLimit = math.MaxInt32

// deleteManifestEntries deletes up to limit places of a version in a space, or in every
// one if it is 0, and lists their passages. The attempt is whose next attempt may
// place them again; zero if there is none. Those of a space in which the version
// does not stand whole were paid for by an attempt that failed.
func deleteManifestEntries(ctx context.Context, tx transaction, of versionKey, space int64, limit int, attempt versionKey) (deleted int, err error) {
	const places = `SELECT * FROM manifest
		WHERE tenant = ?1 AND document = ?2 AND version = ?3 AND (?4 = 0 OR space = ?4)
		ORDER BY space, ordinal LIMIT ?5`
	if _, err := tx.ExecContext(ctx, `
		INSERT INTO garbage (tenant, kind, due_at, space, hashes, document, version)
		SELECT ?1, 'passages',
		       iif(EXISTS (SELECT 1 FROM space_versions pl WHERE pl.tenant = ?1 AND pl.document = ?2 AND pl.version = ?3 AND pl.space = h.space), ?6, ?7),
		       space, json_group_array(lower(hex(hash))), nullif(?8, ?11), nullif(?9, 0)
		FROM (SELECT space, hash, (row_number() OVER (PARTITION BY space) - 1) / ?10 AS part
		      FROM (SELECT DISTINCT m.space, p.hash FROM (`+places+`) m CROSS JOIN passages p ON p.id = m.passage)) h
		GROUP BY space, part`,
		tx.tenant, of.document, of.number, space, limit, tx.now, tx.now.add(garbage.PassageRetention),
		attempt.document, attempt.number, garbage.MaxEntryHashes, uuid.Nil); err != nil {
		return 0, err
	}
	return rowsAffected(tx.ExecContext(ctx, `
		DELETE FROM manifest
		WHERE (tenant, document, version, space, ordinal) IN (SELECT tenant, document, version, space, ordinal FROM (`+places+`))`,
		tx.tenant, of.document, of.number, space, limit))
}

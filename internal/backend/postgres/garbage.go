package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Garbage returns the entries of the garbage list that are due first.
func (s *Store) Garbage(ctx context.Context, ahead time.Duration, limit int) (due []garbage.Entry, err error) {
	defer wrapError(&err, "list garbage")
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		due, err = queryAll(ctx, tx, scanGarbage, `
			SELECT id, kind, document, coalesce(version, 0), coalesce(object, ''), coalesce(space, 0), tries,
			       coalesce(scan_cursor, '{}')
			FROM garbage
			WHERE due_at <= statement_timestamp() + $1::interval
			ORDER BY due_at, id
			LIMIT $2`, ahead, limit)
		return err
	})
	return due, err
}

func scanGarbage(row pgx.CollectableRow) (g garbage.Entry, err error) {
	var id *uuid.UUID
	if err := row.Scan(&g.ID, &g.Kind, &id, &g.Version, &g.Object, &g.SpaceID, &g.Tries, &g.ScanCursor); err != nil {
		return g, err
	}
	if id != nil {
		g.DocumentID = *id
	}
	return g, nil
}

// DeleteGarbageEntries removes entries from the garbage list.
func (s *Store) DeleteGarbageEntries(ctx context.Context, entries ...garbage.Entry) (err error) {
	defer wrapError(&err, "remove %d entries from the garbage list", len(entries))
	return s.inTenant(ctx, func(tx pgx.Tx) error { return deleteGarbageEntries(ctx, tx, entries...) })
}

func deleteGarbageEntries(ctx context.Context, tx pgx.Tx, entries ...garbage.Entry) error {
	ids := make([]int64, len(entries))
	for i, g := range entries {
		ids[i] = g.ID
	}
	_, err := tx.Exec(ctx, `DELETE FROM garbage WHERE id = ANY ($1)`, ids)
	return err
}

// PostponeGarbage has an entry be due again after delay, and counts a try. Of a search
// it keeps how far that is.
func (s *Store) PostponeGarbage(ctx context.Context, g garbage.Entry, delay time.Duration) (err error) {
	defer wrapError(&err, "postpone entry %d of the garbage list", g.ID)
	return s.inTenant(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			UPDATE garbage SET due_at = clock_timestamp() + $2::interval, tries = tries + 1,
			                   scan_cursor = CASE WHEN kind = 'search' THEN $3::jsonb END
			WHERE id = $1`, g.ID, delay, g.ScanCursor)
		return err
	})
}

// setGarbageLockTimeout bounds how long Collect waits for a lock: the entry is postponed
// then, and others go on.
const setGarbageLockTimeout = `SET LOCAL lock_timeout = '1s'`

// CollectGarbage removes what an entry names.
func (s *Store) CollectGarbage(ctx context.Context, g garbage.Entry, ahead time.Duration, limit int) (more bool, err error) {
	defer wrapError(&err, "collect garbage: %s", g)
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, setGarbageLockTimeout); err != nil {
			return err
		}
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
	if sqlState(err) == lockNotAvailable {
		return false, fault.New(fault.Conflict, "another transaction holds a lock on it")
	}
	return more, err
}

// queueInsertGarbageVersion lists a version that another has superseded.
func queueInsertGarbageVersion(batch *pgx.Batch, id uuid.UUID, version int) {
	batch.Queue(`
		INSERT INTO garbage (kind, document, version, due_at) VALUES ('version', $1, $2, clock_timestamp() + $3::interval)`,
		id, version, garbage.JobRetention)
}

// insertGarbagePassages completes a statement that begins with "WITH gone AS (DELETE FROM
// manifest … RETURNING space, hash, due_at)": it lists the passages that have
// lost a place. Whether they stand elsewhere is looked at when they are due: two
// transactions that remove the last two places at once each see the other's.
const insertGarbagePassages = `
	INSERT INTO garbage (kind, space, hashes, due_at, document, version)
	SELECT 'passages', space, array_agg(hash), max(due_at), $1::uuid, $2::integer
	FROM (SELECT space, hash, due_at, (row_number() OVER (PARTITION BY space) - 1) / $3::integer AS part
	      FROM (SELECT space, hash, max(due_at) AS due_at FROM gone GROUP BY space, hash) AS passage) AS numbered
	GROUP BY space, part`

// queueInsertGarbagePassages lists passages of a space that stand nowhere yet, or did not
// before.
func queueInsertGarbagePassages(batch *pgx.Batch, space int64, hashes []document.ContentHash) {
	for len(hashes) > 0 {
		n := min(len(hashes), garbage.MaxEntryHashes)
		batch.Queue(`
			INSERT INTO garbage (kind, space, hashes, due_at) VALUES ('passages', $1, $2, clock_timestamp() + $3::interval)`,
			space, hashBytes(hashes[:n]), garbage.PassageRetention)
		hashes = hashes[n:]
	}
}

package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// idRangeDocuments is how many documents of a collection one transaction of
// eachRange goes through.
const idRangeDocuments = 5000

// missingCount is what a space lacks.
type missingCount struct {
	documents int64 // live ones that do not stand whole in it
	bytes     int64 // of their originals

	failed document.ReindexProgress // lists documents of which what was uploaded last has failed
}

// idRange is the documents after one id, up to another.
type idRange struct{ after, until uuid.UUID }

var allIDs = idRange{uuid.Nil, uuid.Max}

// countMissing goes through the documents of a collection, some at a time and
// without a lock: each part is of another moment.
func (s *Store) countMissing(ctx context.Context, collection uuid.UUID, space int64) (found missingCount, err error) {
	in := reindexScope{collection: collection, space: space}
	err = s.forEachIDRange(ctx, collection, func(tx pgx.Tx, ids idRange) (then func(), err error) {
		var part missingCount
		if err := tx.QueryRow(ctx, `
			SELECT count(*), coalesce(sum((SELECT v.size FROM versions v WHERE v.document = d.id AND v.version = d.published_version)), 0)::bigint
			FROM documents d
			WHERE `+isMissingInSpace+` AND d.id > $3 AND d.id <= $4`,
			collection, space, ids.after, ids.until).Scan(&part.documents, &part.bytes); err != nil {
			return nil, err
		}
		err = addFailedToLeftOut(ctx, tx, in, ids, &part.failed)
		return func() {
			found.documents += part.documents
			found.bytes += part.bytes
			found.failed.AddLeftOut(part.failed.LeftOutCount, part.failed.LeftOut...)
		}, err
	})
	return found, err
}

// forEachIDRange calls fn for one part of a collection's documents after the other,
// each in a transaction of its own, and what fn returns when that has ended.
func (s *Store) forEachIDRange(ctx context.Context, collection uuid.UUID, fn func(tx pgx.Tx, ids idRange) (then func(), err error)) error {
	for ids := allIDs; ; ids = (idRange{ids.until, uuid.Max}) {
		var then func()
		if err := s.inTenant(ctx, func(tx pgx.Tx) (err error) {
			if ids.until, err = idRangeEnd(ctx, tx, collection, ids.after); err == nil {
				then, err = fn(tx, ids)
			}
			return err
		}); err != nil {
			return err
		}
		then()
		if ids.until == uuid.Max {
			return nil
		}
	}
}

// idRangeEnd returns the last of the next documents after one, as many as are gone
// through at a time.
func idRangeEnd(ctx context.Context, tx pgx.Tx, collection, after uuid.UUID) (until uuid.UUID, err error) {
	err = tx.QueryRow(ctx, `
		SELECT id FROM documents
		WHERE collection = $1 AND id > $2
		ORDER BY id
		OFFSET $3
		LIMIT 1`, collection, after, idRangeDocuments-1).Scan(&until)
	if isNoRows(err) {
		return uuid.Max, nil
	}
	return until, err
}

// addFailedToLeftOut adds to those that are left out the documents of which what was
// uploaded last came to nothing: they were not redone.
func addFailedToLeftOut(ctx context.Context, tx pgx.Tx, in reindexScope, ids idRange, progress *document.ReindexProgress) error {
	var count int64
	failed, err := queryAll(ctx, tx, func(row pgx.CollectableRow) (l document.LeftOut, err error) {
		return l, row.Scan(&l.DocumentID, &l.Key, &l.Error, &count)
	}, `
		SELECT d.id, d.key, t.error, count(*) OVER ()
		FROM documents d
		JOIN tasks t ON t.document = d.id AND t.version = d.newest_version AND t.kind = 'knowledge' AND t.state = 'failed'
		WHERE d.collection = $1 AND d.deleted_at IS NULL
		  AND ($2 = '' OR starts_with(d.key, $2))
		  AND ($3::uuid[] IS NULL OR d.id = ANY ($3))
		  AND d.published_version IS DISTINCT FROM d.newest_version
		  AND d.id > $5 AND d.id <= $6
		ORDER BY d.id
		LIMIT $4`, in.collection, in.keyPrefix, in.documents, document.MaxLeftOut, ids.after, ids.until)
	if err == nil {
		progress.AddLeftOut(count, failed...)
	}
	return err
}

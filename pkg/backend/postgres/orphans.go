package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// DropOrphans removes passages that stand nowhere, space by space.
//
// Those stored less than quiet ago are spared, and those stored since an
// unended knowledge task of the collection was accepted: an attempt that failed
// may have paid for them, and the next one places them. So may a reindex, which
// builds a space or comes back to one that nothing is written to.
func (s *Store) DropOrphans(ctx context.Context, quiet time.Duration, limit int) (dropped int, err error) {
	defer describe(&err, "drop orphaned passages")
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		dropped = 0
		spaces, err := collect(ctx, tx, scanSpace, selectSpaces+`
			WHERE s.written AND s.dimensions > 0 AND NOT `+isBuilt+`
			ORDER BY s.id`)
		if err != nil {
			return err
		}
		for _, space := range spaces {
			n, err := dropOrphans(ctx, tx, space, quiet, limit-dropped)
			if err != nil {
				return err
			}
			if dropped += n; dropped >= limit {
				return nil
			}
		}
		return nil
	})
	return dropped, err
}

// dropOrphans locks orphans first and deletes them in a second statement,
// which looks again: a Write that held a passage (see holdPassages) may have
// committed its place after the first statement began, so that the first
// could not see it, and before the lock was had. The second sees it. Writes
// that come later wait for the lock and then miss the passage. What a Write
// holds at the moment is passed over.
func dropOrphans(ctx context.Context, tx pgx.Tx, space document.Space, quiet time.Duration, limit int) (int, error) {
	hashes, err := collect(ctx, tx, scanHash, `
		SELECT hash
		FROM `+passagesTable(space)+` p
		WHERE space = $1
		  AND created_at <= clock_timestamp() - $4::interval
		  AND NOT EXISTS (SELECT FROM manifest m WHERE m.space = $1 AND m.hash = p.hash)
		  AND created_at < (SELECT coalesce(min(j.created_at), 'infinity')
		                    FROM tasks t
		                    JOIN jobs j ON j.id = t.job
		                    JOIN documents d ON d.id = t.document
		                    JOIN spaces s ON s.collection = d.collection
		                    WHERE t.kind = $2 AND t.state IN ('queued', 'running', 'waiting') AND s.id = $1)
		LIMIT $3
		FOR UPDATE OF p SKIP LOCKED`, space.ID, document.Knowledge, limit, quiet)
	if err != nil || len(hashes) == 0 {
		return 0, err
	}
	tag, err := tx.Exec(ctx, `
		DELETE FROM `+passagesTable(space)+` p
		WHERE space = $1 AND hash = ANY ($2)
		  AND NOT EXISTS (SELECT FROM manifest m WHERE m.space = $1 AND m.hash = p.hash)`, space.ID, hashBytes(hashes))
	return int(tag.RowsAffected()), err
}

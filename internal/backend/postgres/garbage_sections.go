package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/task"
)

// DeleteUnusedSectionSummaries removes section summaries that no version uses any more.
//
// It reads the list of what versions that are gone have used, and so costs what
// they were. The summaries are locked before it is looked whether another
// version uses them: one that SectionSummaries had locked may be noted by then,
// and one that it asks for later is gone.
//
// What was released since an unended summary task was accepted is spared: that
// may be the next version's, which has not come to its sections yet.
func (s *Store) DeleteUnusedSectionSummaries(ctx context.Context, quiet time.Duration, limit int) (looked int, err error) {
	defer wrapError(&err, "drop section summaries")
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		looked = 0
		// The oldest is one look into the index, whatever there is.
		var some bool
		if err := tx.QueryRow(ctx, `
			SELECT coalesce(min(released_at) <= clock_timestamp() - $1::interval, false) FROM released_sections`, quiet).Scan(&some); err != nil || !some {
			return err
		}
		nodes, err := queryAll(ctx, tx, scanHash, `
			SELECT node
			FROM released_sections
			WHERE released_at <= statement_timestamp() - $1::interval
			  AND released_at < coalesce((SELECT j.created_at
			                              FROM tasks t
			                              JOIN jobs j ON j.id = t.job
			                              WHERE t.kind = $2 AND t.state IN ('queued', 'running', 'waiting')
			                              ORDER BY t.job
			                              LIMIT 1), 'infinity')
			ORDER BY released_at
			LIMIT $3
			FOR UPDATE SKIP LOCKED`, quiet, task.KindSummary, limit)
		if err != nil || len(nodes) == 0 {
			return err
		}
		looked = len(nodes)
		names := hashBytes(nodes)
		var batch pgx.Batch
		batch.Queue(`SELECT FROM section_summaries WHERE node = ANY ($1) ORDER BY node FOR UPDATE`, names)
		batch.Queue(`
			DELETE FROM section_summaries s
			WHERE node = ANY ($1) AND NOT EXISTS (SELECT FROM version_sections v WHERE v.node = s.node)`, names)
		batch.Queue(`DELETE FROM released_sections WHERE node = ANY ($1)`, names)
		return tx.SendBatch(ctx, &batch).Close()
	})
	return looked, err
}

package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Publish makes the version live and ends its task.
func (s *Store) Publish(ctx context.Context, work document.Work, progress document.KnowledgeProgress) (err error) {
	defer describe(&err, "publish %s", work)
	return s.inTenant(ctx, func(tx pgx.Tx) error {
		t, err := lockOwn(ctx, tx, work)
		if err != nil {
			return err
		}
		var batch pgx.Batch
		if t.live != nil && *t.live > work.Version {
			t.queueEnd(&batch, document.Cancelled, supersededBy(*t.live))
			return tx.SendBatch(ctx, &batch).Close()
		}
		if err := checkManifest(ctx, tx, work, progress.Passages); err != nil {
			return err
		}
		// The switch and the ends that tell of it are one transaction: who
		// sees the job succeeded finds the document.
		batch.Queue(`
			UPDATE documents SET live_version = $2, state = 'ready', updated_at = now()
			WHERE id = $1`, work.Document, work.Version)
		batch.Queue(`UPDATE tasks SET progress = $3 WHERE job = $1 AND kind = $2`, t.job, t.Kind, progress)
		t.queueEnd(&batch, document.Succeeded, "")
		return tx.SendBatch(ctx, &batch).Close()
	})
}

// checkManifest fails unless the version has exactly so many places, and their
// passages.
func checkManifest(ctx context.Context, tx pgx.Tx, work document.Work, want int64) error {
	var places, passages int64
	if err := tx.QueryRow(ctx, `
		SELECT count(*), count(p.hash)
		FROM manifest m
		LEFT JOIN passages p ON p.space = $3 AND p.hash = m.hash
		WHERE m.document = $1 AND m.version = $2 AND m.space = $3`,
		work.Document, work.Version, work.Space.ID).Scan(&places, &passages); err != nil {
		return err
	}
	if places != want || passages != want {
		return fmt.Errorf("version %d has %d places with %d passages, want %d of each", work.Version, places, passages, want)
	}
	return nil
}

package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// DeleteDocument hides the document from readers and cancels its unfinished
// tasks, if the conditions hold of its newest version.
func (s *Store) DeleteDocument(ctx context.Context, id uuid.UUID, conditions ...document.Condition) (err error) {
	defer wrapError(&err, "delete document %s", id)
	return s.inTenant(ctx, func(tx pgx.Tx) error {
		// The row is locked from here on: no task of the document changes its
		// state but here, and Accept makes a new document under the key.
		tag, err := tx.Exec(ctx, `
			UPDATE documents SET deleted_at = now(), updated_at = now(), state = 'deleting'
			WHERE id = $1 AND deleted_at IS NULL`, id)
		switch {
		case err != nil:
			return err
		case tag.RowsAffected() == 0:
			return errNoDocument(id)
		}
		if err := checkNewestConditions(ctx, tx, id, conditions); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `
			INSERT INTO garbage (kind, document, version)
			SELECT 'version', document, version FROM versions WHERE document = $1`, id); err != nil {
			return err
		}
		return cancelTasks(ctx, tx, id, uuid.Nil, reasonDocumentDeleted)
	})
}

// checkNewestConditions checks that conditions hold of the newest version of a document,
// whose row is locked.
func checkNewestConditions(ctx context.Context, tx pgx.Tx, id uuid.UUID, conditions []document.Condition) error {
	if len(conditions) == 0 {
		return nil
	}
	var sha256 string
	if err := tx.QueryRow(ctx, `
		SELECT v.sha256
		FROM documents d
		JOIN versions v ON v.document = d.id AND v.version = d.newest_version
		WHERE d.id = $1`, id).Scan(&sha256); err != nil {
		return err
	}
	for _, c := range conditions {
		if err := checkCondition(c, sha256); err != nil {
			return err
		}
	}
	return nil
}

// cancelTasks ends every unended task of a document, whose row is locked, or
// those of the one job that is not the zero id.
func cancelTasks(ctx context.Context, tx pgx.Tx, id, only uuid.UUID, reason string) error {
	if _, err := tx.Exec(ctx, `
		UPDATE tasks SET state = 'cancelled', error = $3, next_attempt_at = NULL, lease = NULL, lease_until = NULL
		WHERE document = $1 AND ($2::uuid IS NULL OR job = $2) AND state IN ('queued', 'running', 'waiting')`,
		id, nullIfZero(only), reason); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, `
		SELECT j.id, array_agg(t.state)
		FROM jobs j
		JOIN tasks t ON t.job = j.id
		WHERE j.document = $1 AND j.state IN ('queued', 'running', 'waiting')
		GROUP BY j.id`, id)
	if err != nil {
		return err
	}
	var batch pgx.Batch
	var job uuid.UUID
	var states []document.JobState
	if _, err := pgx.ForEachRow(rows, []any{&job, &states}, func() error {
		queueUpdateJobState(&batch, job, task.CombineStates(states...), false)
		return nil
	}); err != nil {
		return err
	}
	return tx.SendBatch(ctx, &batch).Close()
}

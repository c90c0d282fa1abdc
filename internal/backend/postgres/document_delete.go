package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
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
		return s.abandon(ctx, tx, id)
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
		if err := lifecycle.CheckCondition(c, sha256); err != nil {
			return err
		}
	}
	return nil
}

// abandon ends every unended task of a document that is deleted, and whose row is
// locked.
func (s *Store) abandon(ctx context.Context, tx pgx.Tx, id uuid.UUID) error {
	jobs, err := queryAll(ctx, tx, func(row pgx.CollectableRow) (lockedJob, error) { return scanState(row) },
		selectStates+`j.document = $1 AND j.state IN `+lifecycle.UnendedStates, id)
	if err != nil {
		return err
	}
	var batch pgx.Batch
	for _, j := range jobs {
		queueSave(&batch, j.Job, j.CancelDeleted(j.now), s.processID, nil)
	}
	return tx.SendBatch(ctx, &batch).Close()
}

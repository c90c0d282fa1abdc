package sqlite

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// ReuseSectionSummaries returns the known summaries among the given nodes, and notes
// that the work's version uses them.
func (s *Store) ReuseSectionSummaries(ctx context.Context, work task.Work, nodes []document.ContentHash) (summaries map[document.ContentHash]string, err error) {
	defer wrapError(&err, "look up the summaries of %d sections", len(nodes))
	wanted, err := jsonHashes(nodes)
	if err != nil {
		return nil, err
	}
	err = s.inWriteTransaction(ctx, func(tx transaction) error {
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO version_sections (tenant, document, version, node)
			SELECT v.tenant, v.document, v.version, s.node
			FROM json_each(?2) wanted
			CROSS JOIN section_summaries s ON s.tenant = ?1 AND s.node = unhex(wanted.value)
			CROSS JOIN versions v          ON v.tenant = ?1 AND v.document = ?3 AND v.version = ?4
			WHERE true
			ON CONFLICT DO NOTHING`, tx.tenant, wanted, work.DocumentID, work.Version); err != nil {
			return err
		}
		rows, err := tx.QueryContext(ctx, `
			SELECT s.node, s.summary
			FROM json_each(?2) wanted
			CROSS JOIN section_summaries s ON s.tenant = ?1 AND s.node = unhex(wanted.value)`, tx.tenant, wanted)
		if err != nil {
			return err
		}
		defer rows.Close()
		summaries = map[document.ContentHash]string{}
		for rows.Next() {
			var node []byte
			var summary string
			if err := rows.Scan(&node, &summary); err != nil {
				return err
			}
			summaries[document.ContentHash(node)] = summary
		}
		return rows.Err()
	})
	return summaries, err
}

// SaveSectionSummaries keeps sections' summaries under their hashes, and notes
// that the version uses them.
func (s *Store) SaveSectionSummaries(ctx context.Context, work task.Work, texts map[document.ContentHash]string, progress document.SummaryProgress) (err error) {
	defer wrapError(&err, "save the summaries of %d sections of %s", len(texts), work)
	return s.inWriteTransaction(ctx, func(tx transaction) error {
		if err := checkLease(ctx, tx, work); err != nil {
			return err
		}
		for node, text := range texts {
			if _, err := tx.ExecContext(ctx, `
				INSERT INTO section_summaries (tenant, node, summary, created_at)
				VALUES (?1, ?2, ?3, ?4)
				ON CONFLICT DO NOTHING`,
				tx.tenant, node[:], lifecycle.Storable(text), tx.now); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `
				INSERT INTO version_sections (tenant, document, version, node) VALUES (?1, ?2, ?3, ?4)
				ON CONFLICT DO NOTHING`, tx.tenant, work.DocumentID, work.Version, node[:]); err != nil {
				return err
			}
		}
		return saveProgress(ctx, tx, work, progress)
	})
}

// FinishSummary stores the document's summary and ends the task.
func (s *Store) FinishSummary(ctx context.Context, work task.Work, summary document.Summary, progress document.SummaryProgress, warnings ...document.Warning) (err error) {
	defer wrapError(&err, "finish %s", work)
	return s.inWriteTransaction(ctx, func(tx transaction) error {
		was, err := loadOwn(ctx, tx, work)
		if err != nil {
			return err
		}
		if err := tx.exec(ctx, `
			INSERT INTO summaries (tenant, document, version, model, summary)
			VALUES (?1, ?2, ?3, ?4, ?5)`,
			tx.tenant, work.DocumentID, work.Version, summary.Model, lifecycle.Storable(summary.Summary)); err != nil {
			return err
		}
		warned, err := json.Marshal(document.Warnings(warnings))
		if err != nil {
			return err
		}
		if err := tx.exec(ctx, `
			UPDATE versions SET summary_warnings = ?4
			WHERE tenant = ?1 AND document = ?2 AND version = ?3`, tx.tenant, work.DocumentID, work.Version, string(warned)); err != nil {
			return err
		}
		if err := saveProgress(ctx, tx, work, progress); err != nil {
			return err
		}
		return finish(ctx, tx, was, work)
	})
}

// finish ends a task as succeeded.
func finish(ctx context.Context, tx transaction, was lifecycle.Job, work task.Work) error {
	is, err := was.Finish(work, tx.now.time())
	if err != nil {
		return err
	}
	return saveJob(ctx, tx, was, is)
}

// SkipSummary ends the task without a summary.
func (s *Store) SkipSummary(ctx context.Context, work task.Work) (err error) {
	defer wrapError(&err, "skip %s", work)
	return s.inWriteTransaction(ctx, func(tx transaction) error {
		was, err := loadOwn(ctx, tx, work)
		if err != nil {
			return err
		}
		return finish(ctx, tx, was, work)
	})
}

// RequestSummary has the document's newest version summarised, unless it is or will be.
func (s *Store) RequestSummary(ctx context.Context, id uuid.UUID, configured document.SummaryMode) (asked document.Job, err error) {
	defer wrapError(&err, "ask for the summary of document %s", id)
	err = s.inWriteTransaction(ctx, func(tx transaction) error {
		was, err := loadJob(ctx, tx, lifecycle.DocumentNotFound(id), jobOfNewest, id)
		if err != nil {
			return err
		}
		var mode document.SummaryMode
		var made bool
		if err := tx.QueryRowContext(ctx, `
			SELECT coalesce(c.summaries, ?3), EXISTS (SELECT 1 FROM summaries s WHERE s.tenant = d.tenant AND s.document = d.id AND s.version = d.newest_version)
			FROM documents d
			JOIN collections c ON c.tenant = d.tenant AND c.id = d.collection
			WHERE d.tenant = ?1 AND d.id = ?2`, tx.tenant, id, configured).Scan(&mode, &made); err != nil {
			return err
		}
		is, err := was.RequestSummary(mode, made, tx.now.time())
		if err != nil {
			return err
		}
		if err := saveJob(ctx, tx, was, is); err != nil {
			return err
		}
		asked, err = readJob(ctx, tx, is.ID)
		return err
	})
	return asked, err
}

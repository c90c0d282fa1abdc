package postgres

import (
	"bytes"
	"context"
	"maps"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// ReuseSectionSummaries returns the known summaries among the given nodes, and notes
// that the work's version uses them. A row that it has locked is not removed
// before that is noted; see DropSections.
func (s *Store) ReuseSectionSummaries(ctx context.Context, work task.Work, nodes []document.ContentHash) (texts map[document.ContentHash]string, err error) {
	defer wrapError(&err, "look up %d section summaries", len(nodes))
	texts = make(map[document.ContentHash]string, len(nodes))
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			WITH known AS (
				SELECT node, summary FROM section_summaries WHERE node = ANY ($3) ORDER BY node FOR KEY SHARE
			), used AS (
				INSERT INTO version_sections (document, version, node)
				SELECT v.document, v.version, k.node
				FROM known k
				JOIN versions v ON v.document = $1 AND v.version = $2
				ON CONFLICT DO NOTHING
			)
			SELECT node, summary FROM known`, work.DocumentID, work.Version, hashBytes(nodes))
		if err != nil {
			return err
		}
		var node []byte
		var text string
		_, err = pgx.ForEachRow(rows, []any{&node, &text}, func() error {
			texts[document.ContentHash(node)] = text
			return nil
		})
		return err
	})
	return texts, err
}

// SaveSectionSummaries keeps sections' summaries under their hashes, notes that
// the version uses them, and writes the task's progress. The first summary of a
// section stays: the update that changes nothing is a lock. All lock in one order.
func (s *Store) SaveSectionSummaries(ctx context.Context, work task.Work, texts map[document.ContentHash]string, progress document.SummaryProgress) (err error) {
	defer wrapError(&err, "save the summaries of %d sections of %s", len(texts), work)
	nodes := slices.SortedFunc(maps.Keys(texts), func(a, b document.ContentHash) int { return bytes.Compare(a[:], b[:]) })
	summaries := make([]string, len(nodes))
	for i, node := range nodes {
		summaries[i] = lifecycle.Storable(texts[node])
	}
	return s.inTenant(ctx, func(tx pgx.Tx) error {
		if err := checkLease(ctx, tx, work); err != nil {
			return err
		}
		var batch pgx.Batch
		batch.Queue(`
			INSERT INTO section_summaries (node, summary) SELECT * FROM unnest($1::bytea[], $2::text[])
			ON CONFLICT (node, tenant) DO UPDATE SET summary = section_summaries.summary`, hashBytes(nodes), summaries)
		batch.Queue(`
			INSERT INTO version_sections (document, version, node) SELECT $1, $2, unnest($3::bytea[])
			ON CONFLICT DO NOTHING`, work.DocumentID, work.Version, hashBytes(nodes))
		queueFence(&batch, work, progress)
		return tx.SendBatch(ctx, &batch).Close()
	})
}

// FinishSummary stores the document's summary and ends the task.
func (s *Store) FinishSummary(ctx context.Context, work task.Work, summary document.Summary, progress document.SummaryProgress, warnings ...document.Warning) (err error) {
	defer wrapError(&err, "finish %s", work)
	return s.inTenant(ctx, func(tx pgx.Tx) error {
		was, err := lockLeasedTask(ctx, tx, work)
		if err != nil {
			return err
		}
		var batch pgx.Batch
		batch.Queue(`
			INSERT INTO summaries (document, version, model, summary) VALUES ($1, $2, $3, $4)
			ON CONFLICT (tenant, document, version) DO UPDATE SET model = excluded.model, summary = excluded.summary`,
			work.DocumentID, work.Version, summary.Model, lifecycle.Storable(summary.Summary))
		batch.Queue(`UPDATE versions SET summary_warnings = $3 WHERE document = $1 AND version = $2`,
			work.DocumentID, work.Version, append(document.Warnings{}, warnings...))
		is, err := was.Finish(work, was.now)
		if err != nil {
			return err
		}
		queueSave(&batch, was.Job, is, s.processID, progress)
		return tx.SendBatch(ctx, &batch).Close()
	})
}

// SkipSummary ends the task without a summary.
func (s *Store) SkipSummary(ctx context.Context, work task.Work) (err error) {
	defer wrapError(&err, "skip %s", work)
	return s.inTenant(ctx, func(tx pgx.Tx) error {
		was, err := lockLeasedTask(ctx, tx, work)
		if err != nil {
			return err
		}
		_, err = s.saveJob(ctx, tx, was, func(j lockedJob) (lifecycle.Job, error) { return j.Finish(work, j.now) })
		return err
	})
}

// RequestSummary has the document's newest version summarised, unless it is or will be.
func (s *Store) RequestSummary(ctx context.Context, id uuid.UUID, configured document.SummaryMode) (asked document.Job, err error) {
	defer wrapError(&err, "ask for the summary of document %s", id)
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		was, err := lockJob(ctx, tx, errNoDocument(id), jobOfNewest, []any{id})
		if err != nil {
			return err
		}
		var mode document.SummaryMode
		var made bool
		if err := tx.QueryRow(ctx, `
			SELECT coalesce(c.summaries, $2), EXISTS (SELECT FROM summaries s WHERE s.document = d.id AND s.version = d.newest_version)
			FROM documents d
			JOIN collections c ON c.id = d.collection
			WHERE d.id = $1`, id, configured).Scan(&mode, &made); err != nil {
			return err
		}
		asked, err = s.saveJob(ctx, tx, was, func(j lockedJob) (lifecycle.Job, error) { return j.RequestSummary(mode, made, j.now) })
		return err
	})
	return asked, err
}

// Summary returns that of the live version.
func (s *Store) Summary(ctx context.Context, id uuid.UUID) (summary document.Summary, err error) {
	defer wrapError(&err, "summary of document %s", id)
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		var live *int
		var model, text *string
		var skipped bool
		err := tx.QueryRow(ctx, `
			SELECT d.published_version, s.model, s.summary,
			       s.summary IS NULL AND EXISTS (
				SELECT FROM jobs j JOIN tasks t ON t.job = j.id AND t.kind = 'summary' AND t.state = 'succeeded'
				WHERE j.document = d.id AND j.version = d.published_version)
			FROM documents d
			LEFT JOIN summaries s ON s.document = d.id AND s.version = d.published_version
			WHERE d.id = $1 AND d.deleted_at IS NULL`, id).Scan(&live, &model, &text, &skipped)
		switch {
		case isNoRows(err):
			return errNoDocument(id)
		case err != nil:
			return err
		case live == nil:
			return fault.New(fault.NotFound, "there is no summary of document %s yet: none of its versions is ready", id)
		case skipped:
			return fault.New(fault.NotFound, "%s", task.NoSummaryDetail(id))
		case text == nil:
			return fault.New(fault.NotFound, "there is no summary of version %d of document %s yet", *live, id)
		}
		summary = document.Summary{DocumentID: id, Version: *live, Model: *model, Summary: *text}
		return nil
	})
	return summary, err
}

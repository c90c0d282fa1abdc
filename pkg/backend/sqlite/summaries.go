package sqlite

import (
	"context"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// SectionSummaries returns the known summaries among the given nodes.
func (s *Store) SectionSummaries(ctx context.Context, nodes []document.Hash) (summaries map[document.Hash]string, err error) {
	defer describe(&err, "look up the summaries of %d sections", len(nodes))
	wanted, err := hashList(nodes)
	if err != nil {
		return nil, err
	}
	err = s.read(ctx, func(tx transaction) error {
		rows, err := tx.QueryContext(ctx, `
			SELECT s.node, s.summary
			FROM json_each(?2) wanted
			CROSS JOIN section_summaries s ON s.tenant = ?1 AND s.node = unhex(wanted.value)`, tx.tenant, wanted)
		if err != nil {
			return err
		}
		defer rows.Close()
		summaries = map[document.Hash]string{}
		for rows.Next() {
			var node []byte
			var summary string
			if err := rows.Scan(&node, &summary); err != nil {
				return err
			}
			summaries[document.Hash(node)] = summary
		}
		return rows.Err()
	})
	return summaries, err
}

// SaveSectionSummary keeps a section's summary under its hash.
func (s *Store) SaveSectionSummary(ctx context.Context, work document.Work, node document.Hash, text string, progress document.SummaryProgress) (err error) {
	defer describe(&err, "save the summary of section %x of %s", node, work)
	return s.write(ctx, func(tx transaction) error {
		if err := checkLease(ctx, tx, work); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO section_summaries (tenant, node, summary, created_at)
			VALUES (?1, ?2, ?3, ?4)
			ON CONFLICT (tenant, node) DO UPDATE SET summary = excluded.summary`,
			tx.tenant, node[:], text, tx.now); err != nil {
			return err
		}
		return saveProgress(ctx, tx, work, progress)
	})
}

// FinishSummary stores the document's summary and ends the task.
func (s *Store) FinishSummary(ctx context.Context, work document.Work, summary document.Summary, progress document.SummaryProgress) (err error) {
	defer describe(&err, "finish %s", work)
	return s.write(ctx, func(tx transaction) error {
		if err := checkLease(ctx, tx, work); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `
			INSERT INTO summaries (tenant, document, version, model, summary)
			VALUES (?1, ?2, ?3, ?4, ?5)`,
			tx.tenant, work.Document, work.Version, summary.Model, summary.Summary); err != nil {
			return err
		}
		if err := saveProgress(ctx, tx, work, progress); err != nil {
			return err
		}
		return endTask(ctx, tx, work.TaskRef, document.Succeeded, "")
	})
}

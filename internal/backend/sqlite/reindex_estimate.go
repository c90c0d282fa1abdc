package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// EstimateReindex says what the reindex would do, as far as rows tell.
func (s *Store) EstimateReindex(ctx context.Context, request document.ReindexRequest) (estimate document.ReindexEstimate, err error) {
	defer wrapError(&err, "estimate a reindex of collection %q", request.Collection)
	err = s.inReadTransaction(ctx, func(tx transaction) error {
		c, err := readCollection(ctx, tx, request.Collection)
		if err != nil {
			return err
		}
		documents, err := jsonIDs(request.DocumentIDs)
		if err != nil {
			return err
		}
		if err := checkDocumentsExist(ctx, tx, c, documents); err != nil {
			return err
		}
		target, change := rebuild.TargetSpace(request, c.ActiveSpace)
		if err := lifecycle.CheckModel(target.Model); err != nil {
			return err
		}
		estimate = document.ReindexEstimate{Collection: c.Name, Change: change,
			Model: target.Model.Name, Dimensions: target.Model.Dimensions}
		redone, err := documentsToRedo(ctx, tx, c, request)
		if err != nil {
			return err
		}
		estimate.Documents = int64(len(redone))
		if change == document.ChangeChunking {
			return nil
		}
		return estimatePassages(ctx, tx, &estimate, redone, c.ActiveSpace)
	})
	return estimate, err
}

// DocumentsToRedo returns the documents that a reindex without a change would
// redo.
func (s *Store) DocumentsToRedo(ctx context.Context, request document.ReindexRequest) (ids []uuid.UUID, err error) {
	defer wrapError(&err, "look for documents of collection %q to redo", request.Collection)
	err = s.inReadTransaction(ctx, func(tx transaction) error {
		c, err := readCollection(ctx, tx, request.Collection)
		if err != nil {
			return err
		}
		ids, err = documentsToRedo(ctx, tx, c, request)
		return err
	})
	return ids, err
}

// documentsToRedo returns the documents that a reindex would go through: those
// that it matches, where it changes nothing, and otherwise all live ones.
func documentsToRedo(ctx context.Context, tx transaction, c vector.Collection, request document.ReindexRequest) (ids []uuid.UUID, err error) {
	if _, change := rebuild.TargetSpace(request, c.ActiveSpace); change != document.ChangeNothing {
		rows, err := tx.QueryContext(ctx, `
			SELECT id FROM documents
			WHERE tenant = ?1 AND collection = ?2 AND deleted_at IS NULL AND published_version IS NOT NULL`, tx.tenant, c.ID)
		return collectRows(rows, err, scanID)
	}
	r := reindex{collection: c.ID, Reindex: document.Reindex{KeyPrefix: request.KeyPrefix, DocumentIDs: request.DocumentIDs, Force: request.Force},
		state: lifecycle.Reindex{Force: request.Force, Collection: lifecycle.Collection{Active: c.ActiveSpace.ID}}}
	ids = []uuid.UUID{}
	_, err = forEachToRedo(ctx, tx, r, uuid.Nil, func(d requeueCandidate) (bool, error) {
		ids = append(ids, d.DocumentID)
		return true, nil
	})
	return ids, err
}

// estimatePassages counts the passages that live versions have in a space, each
// once, those that have a vector of the estimate's model in any space, and the
// tokens that the others would have the model read: their own and about one for
// every four bytes of what stands above them.
func estimatePassages(ctx context.Context, tx transaction, estimate *document.ReindexEstimate, redone []uuid.UUID, space vector.Space) error {
	list, err := jsonIDs(redone)
	if err != nil {
		return err
	}
	return tx.QueryRowContext(ctx, `
		WITH stored AS MATERIALIZED (
			SELECT DISTINCT m.passage
			FROM json_each(?2) redone
			CROSS JOIN documents d ON d.tenant = ?1 AND d.id = redone.value
			CROSS JOIN manifest m  ON m.tenant = ?1 AND m.document = d.id AND m.version = d.published_version AND m.space = ?3
		), known AS (
			SELECT p.tokens + (octet_length(p.title) + octet_length(p.context) + 3
			                   + (SELECT coalesce(octet_length(group_concat(value, ' > ')), 0) FROM json_each(p.heading_path))) / 4 AS tokens,
			       EXISTS (
				SELECT 1 FROM passages other
				CROSS JOIN spaces s ON s.id = other.space AND s.model = ?4 AND s.dimensions = ?5
				WHERE other.tenant = ?1 AND other.hash = p.hash) AS known
			FROM stored
			CROSS JOIN passages p ON p.id = stored.passage
		)
		SELECT count(*), coalesce(sum(known), 0), coalesce(sum(tokens) FILTER (WHERE NOT known), 0) FROM known`,
		tx.tenant, list, space.ID, estimate.Model, estimate.Dimensions).
		Scan(&estimate.Passages, &estimate.Reusable, &estimate.Tokens)
}

// ReusableHashes returns those of the hashes that have a vector of the space's model in
// any space.
func (s *Store) ReusableHashes(ctx context.Context, space vector.Space, hashes []document.ContentHash) (embedded []document.ContentHash, err error) {
	model := space.Model
	defer wrapError(&err, "look up %d vectors of model %s", len(hashes), model.Name)
	wanted, err := jsonHashes(hashes)
	if err != nil {
		return nil, err
	}
	err = s.inReadTransaction(ctx, func(tx transaction) error {
		rows, err := tx.QueryContext(ctx, `
			SELECT unhex(wanted.value)
			FROM json_each(?2) wanted
			WHERE EXISTS (
				SELECT 1 FROM passages p
				CROSS JOIN spaces s ON s.id = p.space AND s.model = ?3 AND s.dimensions = ?4
				WHERE p.tenant = ?1 AND p.hash = unhex(wanted.value))
			ORDER BY wanted.key`, tx.tenant, wanted, model.Name, model.Dimensions)
		embedded, err = collectRows(rows, err, scanHash)
		return err
	})
	return embedded, err
}

// rateJobLimit is how many of the last jobs that used a model tell its rate.
const rateJobLimit = 20

// EmbeddingRate returns how many passages a second were embedded by the model when
// it was last used.
func (s *Store) EmbeddingRate(ctx context.Context, model document.Model) (rate float64, err error) {
	defer wrapError(&err, "read the rate of model %s", model.Name)
	err = s.inReadTransaction(ctx, func(tx transaction) error {
		// A reindex that reverts embeds by the model from before.
		err := tx.QueryRowContext(ctx, `
			SELECT 1.0 * (progress ->> 'embedded') / (progress ->> 'seconds')
			FROM reindexes
			WHERE tenant = ?1 AND model = ?2 AND dimensions = ?3 AND change <> 'nothing' AND stage NOT IN ('reverting', 'reverted')
			  AND progress ->> 'embedded' > 0 AND progress ->> 'seconds' > 0
			ORDER BY finished_at DESC NULLS FIRST, id DESC
			LIMIT 1`, tx.tenant, model.Name, model.Dimensions).Scan(&rate)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		// Of the last jobs, from each one's start to its last new passage. CROSS
		// JOIN has SQLite begin with them.
		rows, err := tx.QueryContext(ctx, `
			SELECT *
			FROM (
				SELECT j.started_at AS began,
				       (SELECT max(p.created_at) FROM manifest m
				        JOIN spaces s   ON s.tenant = m.tenant AND s.id = m.space AND s.model = ?2 AND s.dimensions = ?3
				        JOIN passages p ON p.id = m.passage
				        WHERE m.tenant = j.tenant AND m.document = j.document AND m.version = j.version) AS ended,
				       k.progress ->> 'embedded'
				FROM jobs j
				CROSS JOIN tasks k ON k.tenant = j.tenant AND k.document = j.document AND k.version = j.version AND k.kind = 'knowledge'
				WHERE j.tenant = ?1 AND k.state = 'succeeded' AND k.progress ->> 'embedded' > 0
				  AND EXISTS (SELECT 1 FROM space_versions pl
				              JOIN spaces s ON s.tenant = pl.tenant AND s.id = pl.space AND s.model = ?2 AND s.dimensions = ?3
				              WHERE pl.tenant = j.tenant AND pl.document = j.document AND pl.version = j.version)
				ORDER BY j.id DESC
				LIMIT ?4
			)
			WHERE ended > began`, tx.tenant, model.Name, model.Dimensions, rateJobLimit)
		spells, err := collectRows(rows, err, scanInterval)
		rate = rebuild.EmbeddingRate(spells)
		return err
	})
	return rate, err
}

func scanInterval(row scanner) (spell rebuild.Interval, err error) {
	var begin, end micros
	err = row.Scan(&begin, &end, &spell.Embedded)
	spell.Begin, spell.End = begin.time(), end.time()
	return spell, err
}

package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// EstimateReindex says what the reindex would do, as far as rows tell.
func (s *Store) EstimateReindex(ctx context.Context, request document.ReindexRequest) (estimate document.ReindexEstimate, err error) {
	defer describe(&err, "estimate a reindex of collection %q", request.Collection)
	err = s.read(ctx, func(tx transaction) error {
		c, err := collection(ctx, tx, request.Collection)
		if err != nil {
			return err
		}
		documents, err := documentList(request.Documents)
		if err != nil {
			return err
		}
		if err := checkDocuments(ctx, tx, c, documents); err != nil {
			return err
		}
		target, change := request.Target(c.Space)
		estimate = document.ReindexEstimate{Collection: c.Name, Change: change,
			Model: target.Model.Name, Dimensions: target.Model.Dimensions}
		versions, err := versionsToRedo(ctx, tx, c, request)
		if err != nil {
			return err
		}
		estimate.Documents = int64(len(versions))
		if change == document.ChangeChunking {
			return nil
		}
		return estimatePassages(ctx, tx, &estimate, versions, c.Space)
	})
	return estimate, err
}

// versionsToRedo returns what a reindex would begin with: the newest versions of
// documents that it matches, where it changes nothing, and otherwise the live
// ones that are not in the space that it would build.
func versionsToRedo(ctx context.Context, tx transaction, c document.Collection, request document.ReindexRequest) ([]version, error) {
	target, change := request.Target(c.Space)
	statement, args := `SELECT d.id, v.version`+matching, []any(nil)
	if change == document.ChangeNothing {
		var err error
		if args, err = matchingOf(tx, reindex{collection: c.ID, live: c.Space.ID, Reindex: document.Reindex{
			KeyPrefix: request.KeyPrefix, Documents: request.Documents, Force: request.Force}}); err != nil {
			return nil, err
		}
	} else {
		target, err := findSpace(ctx, tx, target)
		if err != nil {
			return nil, err
		}
		statement, args = `SELECT d.id, v.version`+unplacedDocuments, []any{tx.tenant, c.ID, target.ID}
	}
	rows, err := tx.QueryContext(ctx, statement, args...)
	return collect(rows, err, scanVersion)
}

// estimatePassages counts the passages that versions have in a space, each
// once, and those that have a vector of the estimate's model in any space.
func estimatePassages(ctx context.Context, tx transaction, estimate *document.ReindexEstimate, versions []version, space document.Space) error {
	list := make([][2]any, len(versions))
	for i, v := range versions {
		list[i] = [2]any{v.document, v.number}
	}
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return tx.QueryRowContext(ctx, `
		WITH stored AS MATERIALIZED (
			SELECT DISTINCT m.passage
			FROM json_each(?2) v
			CROSS JOIN manifest m ON m.tenant = ?1 AND m.document = v.value ->> 0 AND m.version = v.value ->> 1 AND m.space = ?3
		), known AS (
			SELECT p.tokens, EXISTS (
				SELECT 1 FROM spaces s
				CROSS JOIN passages other ON other.tenant = ?1 AND other.space = s.id AND other.hash = p.hash
				WHERE s.tenant = ?1 AND s.model = ?4 AND s.dimensions = ?5) AS known
			FROM stored
			CROSS JOIN passages p ON p.id = stored.passage
		)
		SELECT count(*), coalesce(sum(known), 0), coalesce(sum(tokens) FILTER (WHERE NOT known), 0) FROM known`,
		tx.tenant, string(text), space.ID, estimate.Model, estimate.Dimensions).
		Scan(&estimate.Passages, &estimate.Reusable, &estimate.Tokens)
}

// Embedded returns those of the hashes that have a vector of the model in any
// space.
func (s *Store) Embedded(ctx context.Context, model document.Model, hashes []document.Hash) (embedded []document.Hash, err error) {
	defer describe(&err, "look up %d vectors of model %s", len(hashes), model.Name)
	wanted, err := hashList(hashes)
	if err != nil {
		return nil, err
	}
	err = s.read(ctx, func(tx transaction) error {
		rows, err := tx.QueryContext(ctx, `
			SELECT unhex(wanted.value)
			FROM json_each(?2) wanted
			WHERE EXISTS (
				SELECT 1 FROM spaces s
				CROSS JOIN passages p ON p.tenant = ?1 AND p.space = s.id AND p.hash = unhex(wanted.value)
				WHERE s.tenant = ?1 AND s.model = ?3 AND s.dimensions = ?4)
			ORDER BY wanted.key`, tx.tenant, wanted, model.Name, model.Dimensions)
		embedded, err = collect(rows, err, scanHash)
		return err
	})
	return embedded, err
}

// rateJobs is how many of the last jobs that used a model tell its rate.
const rateJobs = 20

// ReindexRate returns how many passages a second were embedded by the model when
// it was last used.
func (s *Store) ReindexRate(ctx context.Context, model document.Model) (rate float64, err error) {
	defer describe(&err, "read the rate of model %s", model.Name)
	err = s.read(ctx, func(tx transaction) error {
		// A reindex that reverts embeds by the model from before.
		err := tx.QueryRowContext(ctx, `
			SELECT 1.0 * (progress ->> 'embedded') / (progress ->> 'seconds')
			FROM reindexes
			WHERE tenant = ?1 AND model = ?2 AND dimensions = ?3 AND change <> 'nothing' AND stage NOT IN ('reverting', 'reverted')
			  AND progress ->> 'embedded' > 0 AND progress ->> 'seconds' > 0
			ORDER BY started_at DESC
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
				        JOIN passages p ON p.id = m.passage
				        WHERE m.tenant = j.tenant AND m.document = j.document AND m.version = j.version AND m.space = s.id) AS ended,
				       k.progress ->> 'embedded'
				FROM jobs j
				CROSS JOIN tasks k       ON k.tenant = j.tenant AND k.document = j.document AND k.version = j.version AND k.kind = 'knowledge'
				CROSS JOIN placements pl ON pl.tenant = j.tenant AND pl.document = j.document AND pl.version = j.version
				CROSS JOIN spaces s      ON s.tenant = pl.tenant AND s.id = pl.space AND s.model = ?2 AND s.dimensions = ?3
				WHERE j.tenant = ?1 AND k.state = 'succeeded' AND k.progress ->> 'embedded' > 0
				ORDER BY j.id DESC
				LIMIT ?4
			)
			WHERE ended > began`, tx.tenant, model.Name, model.Dimensions, rateJobs)
		spells, err := collect(rows, err, scanSpell)
		rate = document.Rate(spells)
		return err
	})
	return rate, err
}

func scanSpell(row scanner) (spell document.Spell, err error) {
	var begin, end micros
	err = row.Scan(&begin, &end, &spell.Embedded)
	spell.Begin, spell.End = begin.time(), end.time()
	return spell, err
}

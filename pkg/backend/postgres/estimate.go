package postgres

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// EstimateReindex says what a reindex would do.
func (s *Store) EstimateReindex(ctx context.Context, request document.ReindexRequest) (estimate document.ReindexEstimate, err error) {
	defer describe(&err, "estimate a reindex of collection %q", request.Collection)
	var c document.Collection
	if err := s.inTenant(ctx, func(tx pgx.Tx) error {
		c, err = collection(ctx, tx, request.Collection)
		if err != nil {
			return err
		}
		return checkDocuments(ctx, tx, c, request.Documents)
	}); err != nil {
		return document.ReindexEstimate{}, err
	}
	space, change := request.Target(c.Space)
	if err := checkDimensions(space.Model); err != nil {
		return document.ReindexEstimate{}, err
	}
	estimate = document.ReindexEstimate{
		Collection: c.Name, Change: change, Model: space.Model.Name, Dimensions: space.Model.Dimensions,
	}
	var of []uuid.UUID // documents, or nil for all
	if change == document.ChangeNothing {
		if of, err = s.documentsToRedo(ctx, c, request); err != nil {
			return document.ReindexEstimate{}, err
		}
	}
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		if change == document.ChangeNothing {
			estimate.Documents = int64(len(of))
		} else if err := tx.QueryRow(ctx, `
			SELECT count(*) FROM documents
			WHERE collection = $1 AND deleted_at IS NULL AND live_version IS NOT NULL`, c.ID).Scan(&estimate.Documents); err != nil {
			return err
		}
		if change == document.ChangeChunking {
			return nil
		}
		return estimatePassages(ctx, tx, c, of, &estimate)
	})
	if err != nil {
		return document.ReindexEstimate{}, err
	}
	return estimate, nil
}

// DocumentsToRedo returns the documents that a reindex without a change would
// redo.
func (s *Store) DocumentsToRedo(ctx context.Context, request document.ReindexRequest) (ids []uuid.UUID, err error) {
	defer describe(&err, "look for documents of collection %q to redo", request.Collection)
	var c document.Collection
	if err := s.inTenant(ctx, func(tx pgx.Tx) error {
		c, err = collection(ctx, tx, request.Collection)
		return err
	}); err != nil {
		return nil, err
	}
	return s.documentsToRedo(ctx, c, request)
}

// documentsToRedo returns the documents that a reindex without a change would redo.
func (s *Store) documentsToRedo(ctx context.Context, c document.Collection, request document.ReindexRequest) ([]uuid.UUID, error) {
	var r reindex
	r.collection, r.live, r.KeyPrefix, r.Documents, r.Force = c.ID, c.Space.ID, request.KeyPrefix, request.Documents, request.Force
	ids := []uuid.UUID{}
	for after := uuid.Nil; ; {
		var page []standing
		if err := s.inTenant(ctx, func(tx pgx.Tx) (err error) {
			page, err = look(ctx, tx, r.scope(), after)
			return err
		}); err != nil || len(page) == 0 {
			return ids, err
		}
		for _, d := range page {
			if r.matches(d) {
				ids = append(ids, d.id)
			}
		}
		after = page[len(page)-1].id
	}
}

// estimatePassages counts the passages of live versions in the collection's
// live space, those that have a vector of the model already, and the tokens
// that the others would have the model read: their own and about one for every
// four bytes of what stands above them.
func estimatePassages(ctx context.Context, tx pgx.Tx, c document.Collection, of []uuid.UUID, estimate *document.ReindexEstimate) error {
	known, err := spacesOf(ctx, tx, document.Model{Name: estimate.Model, Dimensions: estimate.Dimensions})
	if err != nil {
		return err
	}
	return tx.QueryRow(ctx, `
		WITH wanted AS MATERIALIZED (
			SELECT DISTINCT m.hash
			FROM documents d
			JOIN manifest m ON m.document = d.id AND m.version = d.live_version AND m.space = $2
			WHERE d.collection = $1 AND d.deleted_at IS NULL AND ($3::uuid[] IS NULL OR d.id IN (SELECT unnest($3::uuid[])))
		), known AS MATERIALIZED (
			SELECT DISTINCT p.hash
			FROM wanted w
			JOIN passages p ON p.space = ANY ($4::bigint[]) AND p.hash = w.hash
		)
		SELECT count(*), count(k.hash),
		       coalesce(sum(p.tokens + (octet_length(p.title) + octet_length(array_to_string(p.heading_path, ' > ')) + octet_length(p.context) + 3) / 4)
		                FILTER (WHERE k.hash IS NULL), 0)::bigint
		FROM wanted w
		LEFT JOIN known k ON k.hash = w.hash
		LEFT JOIN `+passagesTable(c.Space)+` p ON p.space = $2 AND p.hash = w.hash AND k.hash IS NULL`, c.ID, c.Space.ID, of, known).
		Scan(&estimate.Passages, &estimate.Reusable, &estimate.Tokens)
}

// spacesOf returns the spaces of a model, in whatever collection.
func spacesOf(ctx context.Context, tx pgx.Tx, model document.Model) ([]int64, error) {
	return collect(ctx, tx, pgx.RowTo[int64], `
		SELECT id FROM spaces WHERE model = $1 AND dimensions = $2`, model.Name, model.Dimensions)
}

// Embedded returns those of the hashes that have a vector of the model.
func (s *Store) Embedded(ctx context.Context, model document.Model, hashes []document.Hash) (embedded []document.Hash, err error) {
	defer describe(&err, "look up %d passages of model %q", len(hashes), model.Name)
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		spaces, err := spacesOf(ctx, tx, model)
		if err != nil {
			return err
		}
		embedded, err = collect(ctx, tx, scanHash, `
			SELECT DISTINCT hash FROM passages WHERE space = ANY ($1::bigint[]) AND hash = ANY ($2)`, spaces, hashBytes(hashes))
		return err
	})
	return embedded, err
}

// rateJobs is how many of the last jobs that used a model tell its rate.
const rateJobs = 20

// ReindexRate returns how many passages a second were embedded by the model
// when it was last used. Reindexes without a change do not count, since their
// time is that of jobs, and neither do those that were reverted, since they
// were embedding by the model from before at last.
func (s *Store) ReindexRate(ctx context.Context, model document.Model) (rate float64, err error) {
	defer describe(&err, "read the rate of model %q", model.Name)
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `
			SELECT (progress->>'embedded')::float8 / (progress->>'seconds')::float8
			FROM reindexes
			WHERE model = $1 AND dimensions = $2 AND change <> 'nothing' AND stage NOT IN ('reverting', 'reverted')
			  AND (progress->>'embedded')::bigint > 0 AND (progress->>'seconds')::float8 > 0
			ORDER BY coalesce(finished_at, 'infinity') DESC, id DESC
			LIMIT 1`, model.Name, model.Dimensions).Scan(&rate)
		if !isNoRows(err) {
			return err
		}
		spaces, err := spacesOf(ctx, tx, model)
		if err != nil || len(spaces) == 0 {
			return err
		}
		spells, err := collect(ctx, tx, pgx.RowToStructByPos[document.Spell], `
			SELECT latest.started_at, newest.created_at, latest.embedded
			FROM (SELECT j.id, j.document, j.version, j.started_at, (t.progress->>'embedded')::bigint AS embedded
			      FROM jobs j
			      JOIN tasks t ON t.job = j.id AND t.kind = 'knowledge'
			      WHERE t.state = 'succeeded' AND (t.progress->>'embedded')::bigint > 0
			        AND EXISTS (SELECT FROM placements p
			                    WHERE p.document = j.document AND p.version = j.version AND p.space = ANY ($1))
			      ORDER BY j.id DESC
			      LIMIT $2) AS latest
			CROSS JOIN LATERAL (
				SELECT max(p.created_at) AS created_at
				FROM manifest m
				JOIN passages p ON p.space = m.space AND p.hash = m.hash
				WHERE m.document = latest.document AND m.version = latest.version AND m.space = ANY ($1)
			) AS newest
			WHERE newest.created_at > latest.started_at`, spaces, rateJobs)
		rate = document.Rate(spells)
		return err
	})
	return rate, err
}

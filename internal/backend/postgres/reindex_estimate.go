package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// EstimateReindex says what a reindex would do.
func (s *Store) EstimateReindex(ctx context.Context, request document.ReindexRequest) (estimate document.ReindexEstimate, err error) {
	defer wrapError(&err, "estimate a reindex of collection %q", request.Collection)
	var c vector.Collection
	if err := s.inTenant(ctx, func(tx pgx.Tx) error {
		c, err = readCollection(ctx, tx, request.Collection)
		if err != nil {
			return err
		}
		return checkDocumentsExist(ctx, tx, c.ID, request)
	}); err != nil {
		return document.ReindexEstimate{}, err
	}
	space, change := rebuild.TargetSpace(request, c.ActiveSpace)
	if err := lifecycle.CheckModel(space.Model); err != nil {
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
	err = s.inSnapshot(ctx, func(tx pgx.Tx) error {
		if c, err = readCollection(ctx, tx, request.Collection); err != nil {
			return err
		}
		if change == document.ChangeNothing {
			estimate.Documents = int64(len(of))
		} else if err := tx.QueryRow(ctx, `
			SELECT count(*) FROM documents
			WHERE collection = $1 AND deleted_at IS NULL AND published_version IS NOT NULL`, c.ID).Scan(&estimate.Documents); err != nil {
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
	defer wrapError(&err, "look for documents of collection %q to redo", request.Collection)
	var c vector.Collection
	if err := s.inTenant(ctx, func(tx pgx.Tx) error {
		c, err = readCollection(ctx, tx, request.Collection)
		return err
	}); err != nil {
		return nil, err
	}
	return s.documentsToRedo(ctx, c, request)
}

// documentsToRedo returns the documents that a reindex without a change would redo.
func (s *Store) documentsToRedo(ctx context.Context, c vector.Collection, request document.ReindexRequest) ([]uuid.UUID, error) {
	r := reindex{Reindex: document.Reindex{KeyPrefix: request.KeyPrefix, DocumentIDs: request.DocumentIDs},
		state: lifecycle.Reindex{Force: request.Force, Collection: lifecycle.Collection{ID: c.ID, Active: c.ActiveSpace.ID}}}
	ids := []uuid.UUID{}
	for after := uuid.Nil; ; {
		var page []lifecycle.RequeueCandidate
		if err := s.inTenant(ctx, func(tx pgx.Tx) (err error) {
			page, err = readDocumentStates(ctx, tx, r.scope(), after)
			return err
		}); err != nil || len(page) == 0 {
			return ids, err
		}
		for _, d := range page {
			if r.state.ShouldRequeue(d) {
				ids = append(ids, d.DocumentID)
			}
		}
		after = page[len(page)-1].DocumentID
	}
}

// estimatePassages counts the passages of live versions in the collection's
// live space, those that have a vector of the model already, and the tokens
// that the others would have the model read: their own and about one for every
// four bytes of what stands above them.
func estimatePassages(ctx context.Context, tx pgx.Tx, c vector.Collection, of []uuid.UUID, estimate *document.ReindexEstimate) error {
	known, err := knownQuery(ctx, tx, vector.Space{CollectionID: c.ID, Model: document.Model{Name: estimate.Model, Dimensions: estimate.Dimensions}})
	if err != nil {
		return err
	}
	return tx.QueryRow(ctx, `
		WITH wanted AS MATERIALIZED (
			SELECT DISTINCT m.hash
			FROM documents d
			JOIN manifest m ON m.document = d.id AND m.version = d.published_version AND m.space = $5
			WHERE d.collection = $4 AND d.deleted_at IS NULL AND ($6::uuid[] IS NULL OR d.id IN (SELECT unnest($6::uuid[])))
		), known AS MATERIALIZED (
			`+known+`
		)
		SELECT count(*), count(k.hash),
		       coalesce(sum(p.tokens + (octet_length(p.title) + octet_length(array_to_string(p.heading_path, ' > ')) + octet_length(p.context) + 3) / 4)
		                FILTER (WHERE k.hash IS NULL), 0)::bigint
		FROM wanted w
		LEFT JOIN known k ON k.hash = w.hash
		LEFT JOIN `+passagesTable(c.ActiveSpace)+` p ON p.space = $5 AND p.hash = w.hash AND k.hash IS NULL`,
		estimate.Model, estimate.Dimensions, noSpace, c.ID, c.ActiveSpace.ID, of).
		Scan(&estimate.Passages, &estimate.Reusable, &estimate.Tokens)
}

// ReusableHashes returns those of the hashes that Known would find of such a space.
func (s *Store) ReusableHashes(ctx context.Context, space vector.Space, hashes []document.ContentHash) (embedded []document.ContentHash, err error) {
	defer wrapError(&err, "look up %d passages of model %q", len(hashes), space.Model.Name)
	err = s.inSnapshot(ctx, func(tx pgx.Tx) error {
		known, err := knownQuery(ctx, tx, space)
		if err != nil {
			return err
		}
		embedded, err = queryAll(ctx, tx, scanHash, `
			WITH wanted AS MATERIALIZED (SELECT DISTINCT hash FROM unnest($4::bytea[]) AS hash)
			`+known, space.Model.Name, space.Model.Dimensions, noSpace, hashBytes(hashes))
		return err
	})
	return embedded, err
}

// knownQuery returns a query for those of the hashes in `wanted` that Known would
// find of a space with this collection and model. Its parameters are those of
// sourceOf.
func knownQuery(ctx context.Context, tx pgx.Tx, space vector.Space) (query string, err error) {
	query = `
		SELECT wanted.hash
		FROM wanted
		CROSS JOIN LATERAL ` + sourceSpaceQuery + ` AS source
		WHERE (SELECT EXISTS (SELECT FROM spaces WHERE model = $1 AND dimensions = $2))`
	siblings, err := queryAll(ctx, tx, scanSpace, selectSiblingSpaces, space.CollectionID, space.Model.Name, space.Model.Dimensions, noSpace)
	for _, sibling := range siblings {
		query += fmt.Sprintf(`
			UNION
			SELECT wanted.hash FROM wanted JOIN %s p ON p.space = %d AND p.hash = wanted.hash`, passagesTable(sibling), sibling.ID)
	}
	return query, err
}

// noSpace is the id of none.
const noSpace = int64(0)

// rateJobLimit is how many of the last jobs that used a model tell its rate.
const rateJobLimit = 20

// EmbeddingRate returns how many passages a second were embedded by the model
// when it was last used. Reindexes without a change do not count, since their
// time is that of jobs, and neither do those that were reverted, since they
// were embedding by the model from before at last.
func (s *Store) EmbeddingRate(ctx context.Context, model document.Model) (rate float64, err error) {
	defer wrapError(&err, "read the rate of model %q", model.Name)
	err = s.inSnapshot(ctx, func(tx pgx.Tx) error {
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
		spells, err := readIntervals(ctx, tx, model)
		rate = rebuild.EmbeddingRate(spells)
		return err
	})
	return rate, err
}

// readIntervals returns from when to when the last jobs that used a model embedded by
// it. It ends when the last passage was written.
func readIntervals(ctx context.Context, tx pgx.Tx, model document.Model) (spells []rebuild.Interval, err error) {
	type latest struct {
		document uuid.UUID
		version  int
		started  time.Time
		embedded int64
		space    vector.Space
	}
	jobs, err := queryAll(ctx, tx, func(row pgx.CollectableRow) (l latest, err error) {
		return l, row.Scan(append([]any{&l.document, &l.version, &l.started, &l.embedded}, spaceFields(&l.space)...)...)
	}, `
		SELECT j.document, j.version, j.started_at, (t.progress->>'embedded')::bigint, `+spaceColumns+`
		FROM jobs j
		JOIN tasks t ON t.job = j.id AND t.kind = 'knowledge'
		CROSS JOIN LATERAL (
			SELECT s.*
			FROM space_versions p
			JOIN spaces s ON s.id = p.space
			WHERE p.document = j.document AND p.version = j.version AND s.model = $1 AND s.dimensions = $2
			ORDER BY s.id
			LIMIT 1
		) AS s
		WHERE (SELECT EXISTS (SELECT FROM spaces WHERE model = $1 AND dimensions = $2))
		  AND t.state = 'succeeded' AND (t.progress->>'embedded')::bigint > 0
		ORDER BY j.id DESC
		LIMIT $3`, model.Name, model.Dimensions, rateJobLimit)
	if err != nil {
		return nil, err
	}
	var batch pgx.Batch
	for _, job := range jobs {
		batch.Queue(`
			SELECT max(p.created_at)
			FROM manifest m
			JOIN `+passagesTable(job.space)+` p ON p.space = $3 AND p.hash = m.hash
			WHERE m.document = $1 AND m.version = $2 AND m.space = $3`, job.document, job.version, job.space.ID).QueryRow(func(row pgx.Row) error {
			var end *time.Time
			err := row.Scan(&end)
			if err == nil && end != nil && end.After(job.started) {
				spells = append(spells, rebuild.Interval{Begin: job.started, End: *end, Embedded: job.embedded})
			}
			return err
		})
	}
	return spells, tx.SendBatch(ctx, &batch).Close()
}

package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/pgvector/pgvector-go"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// maxAlsoIn is how many further places of a passage a hit names.
const maxAlsoIn = 10

// Nearest returns the passages of live versions that are nearest to the
// query's vector, best first.
func (s *Store) Nearest(ctx context.Context, space document.Space, query document.Query) (hits []document.Hit, err error) {
	defer describe(&err, "search space %d", space.ID)
	if len(query.Vector) != space.Model.Dimensions {
		return nil, fault.New(fault.BadRequest, "a vector of %d dimensions cannot be compared with those of model %q, which have %d",
			len(query.Vector), space.Model.Name, space.Model.Dimensions)
	}
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		found, err := nearest(ctx, tx, space, query)
		hits = merge(found)
		return err
	})
	return hits, err
}

// found is a place of one of the nearest passages.
type found struct {
	hash []byte
	hit  document.Hit
}

// nearest returns the places of the nearest passages, those of one passage
// together, in the oldest document first.
//
// Only the part named best looks at many rows, and it looks at no text: it
// measures every passage that stands in some visible version. IS TRUE, which
// changes nothing else, has PostgreSQL look up what is IN a table made once.
// Otherwise it makes a join of it, and for tables that have grown since they
// were last analysed it takes one that begins anew for each passage.
//
// The threshold is applied to what is left, since it cuts off the end of the
// list. So is the comparison with 2, the greatest distance: a vector of length
// 0 has no angle to any other, its distance is NaN, and PostgreSQL sorts that
// last.
func nearest(ctx context.Context, tx pgx.Tx, space document.Space, query document.Query) ([]found, error) {
	var metadata any
	if len(query.Metadata) > 0 {
		metadata = query.Metadata
	}
	return collect(ctx, tx, scanFound, `
		WITH visible AS MATERIALIZED (
			SELECT d.id, d.live_version
			FROM documents d
			WHERE d.collection = $1 AND d.deleted_at IS NULL AND d.live_version IS NOT NULL
			  AND ($2 = '' OR starts_with(d.key, $2))
			  AND ($3::jsonb IS NULL OR EXISTS (
			      SELECT FROM versions v
			      WHERE v.document = d.id AND v.version = d.live_version AND v.metadata @> $3))
		), best AS MATERIALIZED (
			SELECT hash, embedding <=> $4 AS distance
			FROM passages
			WHERE space = $5
			  AND (hash IN (SELECT m.hash
			                FROM manifest m
			                WHERE m.space = $5
			                  AND ((m.document, m.version) IN (SELECT id, live_version FROM visible)) IS TRUE)) IS TRUE
			ORDER BY distance, hash
			LIMIT $6
		)
		SELECT b.hash, 1 - b.distance, p.heading_path, p.context, p.content, p.tokens,
		       place.document, place.ordinal, place.start_byte, place.end_byte,
		       (SELECT d.key FROM documents d WHERE d.id = place.document),
		       (SELECT v.title FROM versions v WHERE v.document = place.document AND v.version = place.version)
		FROM best b
		JOIN passages p ON p.space = $5 AND p.hash = b.hash
		CROSS JOIN LATERAL (
			SELECT m.document, m.version, m.ordinal, m.start_byte, m.end_byte
			FROM manifest m
			WHERE m.space = $5 AND m.hash = b.hash
			  AND ((m.document, m.version) IN (SELECT id, live_version FROM visible)) IS TRUE
			ORDER BY m.document, m.ordinal
			LIMIT $8
		) AS place
		WHERE b.distance <= 2 AND 1 - b.distance >= $7
		ORDER BY b.distance, b.hash, place.document, place.ordinal`,
		space.Collection, query.KeyPrefix, metadata, pgvector.NewHalfVector(query.Vector), space.ID, query.Limit,
		query.Threshold, 1+maxAlsoIn)
}

func scanFound(row pgx.CollectableRow) (f found, err error) {
	h := &f.hit
	err = row.Scan(&f.hash, &h.Score, &h.HeadingPath, &h.Context, &h.Content, &h.Tokens,
		&h.DocumentID, &h.Ordinal, &h.Start, &h.End, &h.Key, &h.Title)
	return f, err
}

// merge makes one hit of the places of a passage: the first, with the others
// beside it.
func merge(places []found) []document.Hit {
	hits := []document.Hit{}
	var hash []byte // of the last hit
	for _, f := range places {
		if string(f.hash) == string(hash) {
			last := &hits[len(hits)-1]
			last.AlsoIn = append(last.AlsoIn, document.Citation{DocumentID: f.hit.DocumentID, Key: f.hit.Key, Start: f.hit.Start, End: f.hit.End})
			continue
		}
		hash = f.hash
		score := f.hit.Score
		f.hit.Scores.Vector = &score
		f.hit.AlsoIn = []document.Citation{}
		hits = append(hits, f.hit)
	}
	return hits
}

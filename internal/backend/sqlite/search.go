package sqlite

import (
	"context"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// NearestPassages returns the passages of live versions that are nearest to the
// query's vector, each once.
func (s *Store) NearestPassages(ctx context.Context, space vector.Space, query vector.Query) (hits []document.Hit, err error) {
	defer wrapError(&err, "search space %d", space.ID)
	if space.Model.Dimensions == 0 { // nothing can be there yet
		return []document.Hit{}, s.inReadTransaction(ctx, func(tx transaction) error { return checkActiveSpace(ctx, tx, space) })
	}
	if err := lifecycle.CheckQueryVector(len(query.Vector), space.Model); err != nil {
		return nil, err
	}
	vector, err := encodeVector(query.Vector, space.Model)
	if err != nil {
		return nil, err
	}
	err = s.inReadTransaction(ctx, func(tx transaction) error {
		if err := checkActiveSpace(ctx, tx, space); err != nil {
			return err
		}
		hits, err = nearestPassages(ctx, tx, space, query, vector)
		return err
	})
	return hits, err
}

// checkActiveSpace returns fault.Conflict unless the space is the one that answers its
// collection's searches. What is read after it, in its transaction, is of the
// same moment.
func checkActiveSpace(ctx context.Context, tx transaction, space vector.Space) error {
	live, err := activeSpaceID(ctx, tx, space.CollectionID)
	if err == nil && live != space.ID {
		err = lifecycle.SpaceNotActive(space.ID)
	}
	return err
}

// nearestPassages searches a space, live or not.
func nearestPassages(ctx context.Context, tx transaction, space vector.Space, query vector.Query, vector []byte) ([]document.Hit, error) {
	rarest, filtered, err := findRarestField(ctx, tx, space.CollectionID, query.Metadata)
	if err != nil {
		return nil, err
	}
	candidates := `documents d`
	if filtered {
		candidates = `document_fields f
			CROSS JOIN documents d ON d.tenant = ?1 AND d.id = f.document AND f.tenant = ?1 AND f.collection = ?2 AND f.field = ?11 AND f.value = ?12`
	}
	// The documents are narrowed first, then every vector that stands in
	// one of them is compared, and only the texts of the nearest are read.
	// CROSS JOIN and NOT INDEXED keep SQLite to that: it looks up the live
	// versions' places, then passages by id, in the order of the file.
	// A vector without a direction has a NULL score, which comes last and
	// is below any threshold. A row is a place; a passage's are together.
	rows, err := tx.QueryContext(ctx, `
		WITH live AS MATERIALIZED (
			SELECT d.id AS document, d.published_version AS version, d.key, v.title
			FROM `+candidates+`
			CROSS JOIN versions v ON v.tenant = d.tenant AND v.document = d.id AND v.version = d.published_version
			WHERE d.tenant = ?1 AND d.collection = ?2 AND d.deleted_at IS NULL
			  AND d.key >= ?4 AND d.key < ?10
			  AND (?5 = '' OR json_contains(v.metadata, ?5))
		), nearest AS MATERIALIZED (
			SELECT id, hash, max(-1.0, min(1.0, 1.0 - vec_distance_cosine(embedding, ?6))) AS score
			FROM passages NOT INDEXED
			WHERE tenant = ?1 AND space = ?3 AND id IN (
				SELECT m.passage FROM live l
				CROSS JOIN manifest m ON m.tenant = ?1 AND m.document = l.document AND m.version = l.version AND m.space = ?3)
			ORDER BY score DESC, hash
			LIMIT ?7
		), places AS (
			SELECT n.id, n.hash, n.score, l.document, l.key, l.title, m.ordinal, m.start_byte, m.end_byte,
			       row_number() OVER (PARTITION BY n.id ORDER BY l.key, m.ordinal) AS place
			FROM nearest n
			JOIN manifest m ON m.tenant = ?1 AND m.passage = n.id
			JOIN live l     ON l.document = m.document AND l.version = m.version
			WHERE n.score >= ?8
		)
		SELECT at.place, at.document, at.key, at.title, at.ordinal, at.start_byte, at.end_byte, at.score,
		       p.heading_path, p.context, p.content, p.tokens, coalesce(p.embedded_bytes, 0)
		FROM places at
		JOIN passages p ON p.id = at.id
		WHERE at.place <= 1 + ?9
		ORDER BY at.score DESC, at.hash, at.place`,
		tx.tenant, space.CollectionID, space.ID, query.KeyPrefix, string(query.Metadata), vector,
		query.Limit, query.Threshold, maxAlsoIn, document.PrefixUpperBound(query.KeyPrefix), rarest[0], rarest[1])
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	hits := []document.Hit{}
	for rows.Next() {
		place, hit, err := scanHitRow(rows)
		if err != nil {
			return nil, err
		}
		if place == 1 {
			hits = append(hits, hit)
			continue
		}
		first := &hits[len(hits)-1]
		first.AlsoIn = append(first.AlsoIn, document.Citation{
			DocumentID: hit.DocumentID, Key: hit.Key, Start: hit.Start, End: hit.End})
	}
	return hits, rows.Err()
}

// maxAlsoIn is how many further places of a passage a hit lists.
const maxAlsoIn = 10

// scanHitRow scans a place of a passage as if it were the passage's only one.
func scanHitRow(row scanner) (place int, hit document.Hit, err error) {
	var score float64
	var id uuid.UUID
	if err := row.Scan(&place, &id, &hit.Key, &hit.Title, &hit.Ordinal, &hit.Start, &hit.End, &score,
		(*headingPath)(&hit.HeadingPath), &hit.Context, &hit.Content, &hit.Tokens, &hit.EmbeddedBytes); err != nil {
		return 0, hit, err
	}
	hit.DocumentID, hit.Score, hit.Scores = id, score, document.Scores{Vector: &score}
	hit.AlsoIn = []document.Citation{}
	return place, hit, nil
}

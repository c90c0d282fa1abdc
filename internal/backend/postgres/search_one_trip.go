package postgres

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/pgvector/pgvector-go"

	"github.com/seed-7a112592/gristmill/internal/vector"
)

// nearestInOneTrip is nearest for a search without a filter, in one round trip: it
// takes the passages to stand where space says. It reports false when they do
// not, or when the walk has not met enough passages that stand in live versions;
// then places says nothing.
func (s *Store) nearestInOneTrip(ctx context.Context, space vector.Space, query vector.Query) (places []hitRow, enough bool, err error) {
	switch {
	case query.KeyPrefix != "" || len(query.Metadata) > 0:
		return nil, false, nil
	case space.Indexed:
		err = s.inOneTripWithSettings(ctx, walkOnceSettings, []any{fmt.Sprint(searchWidth(space, query.Limit))}, func(batch *pgx.Batch) {
			batch.Queue(walkOnceStatement(space, query.Limit), pgvector.NewHalfVector(query.Vector), space.CollectionID).Query(func(rows pgx.Rows) (err error) {
				places, enough, err = readWalkRows(rows, query.Limit)
				return err
			})
		})
		return places, enough, err
	default:
		live := space
		err = s.inSnapshotOneTrip(ctx, func(batch *pgx.Batch) {
			queueCheckActiveSpace(batch, &live)
			queueSearchPlan(batch, space, query, collectionFilter(space, query), compareAllPlan, query.Limit, &places)
		})
		return places, live.OwnTable == space.OwnTable, err
	}
}

// walkOnceSettings has a walk along the index end when it has met as many passages as
// hnsw.ef_search says. The plan is made once: planning takes half as long as the
// walk, and PostgreSQL would do it each time, because it takes a plan for any
// question for dearer than it is.
const walkOnceSettings = setTenant + `,
	set_config('hnsw.ef_search', $2, true), set_config('hnsw.iterative_scan', 'off', true),
	set_config('plan_cache_mode', 'force_generic_plan', true)`

// walkOnceStatement returns the statement that goes from one passage to the next nearest by
// the index, and takes those that stand in live versions with their places, until
// it has as many as are wanted or some more; none unless the space answers searches
// of its collection and stands where space says. It looks at each row once. What is
// nested is to be a nested loop, and is kept one by OFFSET 0.
func walkOnceStatement(space vector.Space, limit int) string {
	// A number instead of a parameter, for the plan's sake, but not each its own.
	take := limit
	if i := slices.IndexFunc(walkLimits, func(n int) bool { return n >= limit }); i >= 0 {
		take = walkLimits[i]
	}
	return strings.NewReplacer("$passages", passagesTable(space), "$vector", indexExpression(space), "$space", fmt.Sprint(space.ID), "$take", fmt.Sprint(take),
		"$places", fmt.Sprint(1+maxAlsoIn), "$own", fmt.Sprint(space.OwnTable)).Replace(`
		SELECT p.hash, 1 - ($vector <=> $1), p.heading_path, p.context, p.content, p.tokens, coalesce(p.embedded_bytes, 0), standing.places
		FROM $passages p
		CROSS JOIN LATERAL (
			SELECT array_agg(place) AS places
			FROM (SELECT m.document, m.ordinal, m.start_byte, m.end_byte, d.key, v.title
			      FROM manifest m
			      CROSS JOIN LATERAL (
			          SELECT key FROM documents
			          WHERE id = m.document AND published_version = m.version AND collection = $2 AND deleted_at IS NULL
			          OFFSET 0) AS d
			      CROSS JOIN LATERAL (
			          SELECT title FROM versions WHERE document = m.document AND version = m.version
			          OFFSET 0) AS v
			      WHERE m.space = $space AND m.hash = p.hash
			      ORDER BY m.document, m.ordinal
			      LIMIT $places) AS place
		) AS standing
		WHERE p.space = $space AND standing.places IS NOT NULL
		  AND EXISTS (
			SELECT FROM collections c JOIN spaces s ON s.id = c.active_space
			WHERE c.id = $2 AND s.id = $space AND (s.storage IN ('moved', 'own')) = $own)
		ORDER BY $vector <=> $1
		LIMIT $take`)
}

// walkLimits are how many passages a walk takes.
var walkLimits = []int{10, 30, 100}

// readWalkRows returns the places of the limit nearest passages. enough is false
// when there are fewer.
func readWalkRows(rows pgx.Rows, limit int) (places []hitRow, enough bool, err error) {
	type passage struct {
		hitRow
		places []hitLocation
	}
	passages, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p passage, err error) {
		h := &p.hit
		err = row.Scan(&p.hash, &h.Score, &h.HeadingPath, &h.Context, &h.Content, &h.Tokens, &h.EmbeddedBytes, &p.places)
		return p, err
	})
	if err != nil {
		return nil, false, err
	}
	if len(passages) < limit || math.IsNaN(passages[len(passages)-1].hit.Score) { // of a question without direction
		return nil, false, nil
	}
	slices.SortFunc(passages, func(a, b passage) int {
		return cmp.Or(-cmp.Compare(a.hit.Score, b.hit.Score), slices.Compare(a.hash, b.hash))
	})
	for _, p := range passages[:limit] {
		for _, at := range p.places {
			f := p.hitRow
			f.hit.DocumentID, f.hit.Ordinal, f.hit.Start, f.hit.End, f.hit.Key, f.hit.Title = at.document, at.ordinal, at.start, at.end, at.key, at.title
			places = append(places, f)
		}
	}
	return places, true, nil
}

// hitLocation is a place of a passage, as a row within a row.
type hitLocation struct {
	document   uuid.UUID
	ordinal    int
	start, end int64
	key, title string
}

// ScanNull implements pgtype.CompositeIndexScanner.
func (p *hitLocation) ScanNull() error { return fmt.Errorf("a place is null") }

// ScanIndex implements pgtype.CompositeIndexScanner.
func (p *hitLocation) ScanIndex(i int) any {
	return [...]any{&p.document, &p.ordinal, &p.start, &p.end, &p.key, &p.title}[i]
}

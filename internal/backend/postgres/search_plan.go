package postgres

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/pgvector/pgvector-go"

	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	// compareAlwaysUpTo is up to how many places are compared one by one in any space, and
	// comparisons how many of these take as long as it takes a walk to meet a passage
	// and look whether the filter takes it; see leavesFew.
	compareAlwaysUpTo   = 1000
	comparisonsPerVisit = 5

	// widthPerExtraHit is by how much hnsw.ef_search grows for each passage that is
	// wanted beyond measuredHits.
	widthPerExtraHit = 4

	// filterOversampling is how many times more hits are taken from a walk under a
	// filter than are wanted, since those it finds late may be nearer.
	filterOversampling = 2

	// maxScanTuples is after how many passages a walk ends that finds too few, and
	// searchMemory how many times work_mem it may use for those it has met.
	maxScanTuples     = "1000000"
	scanMemMultiplier = "8"
)

// hitRow is a place of one of the nearest passages.
type hitRow struct {
	hash []byte
	hit  document.Hit
}

// nearestPassages returns the places of the nearest passages, those of one passage
// together, in the oldest document first. In a space with an index it walks
// along that, unless the filter leaves so few places that looking at each of
// these is quicker, and exact. A walk that ends before it has found enough is
// no answer: then all are compared.
func nearestPassages(ctx context.Context, tx pgx.Tx, space vector.Space, query vector.Query, in searchFilter) ([]hitRow, error) {
	if !space.Indexed {
		return runSearchPlan(ctx, tx, space, query, in, compareAllPlan, query.Limit)
	}
	take := query.Limit
	if in.narrows() {
		take *= filterOversampling
		few, err := comparingIsCheaper(ctx, tx, space, in, take)
		if err != nil {
			return nil, err
		}
		if few {
			return runSearchPlan(ctx, tx, space, query, in, compareFewPlan, query.Limit)
		}
	}
	places, err := runSearchPlan(ctx, tx, space, query, in, walkIndexPlan, take)
	if err == nil && countPassages(places) < query.Limit {
		return runSearchPlan(ctx, tx, space, query, in, compareAllPlan, query.Limit)
	}
	return places, err
}

// countPassages counts the passages that the places are of.
func countPassages(places []hitRow) (n int) {
	for i, p := range places {
		if i == 0 || !bytes.Equal(p.hash, places[i-1].hash) {
			n++
		}
	}
	return n
}

// searchPlan is a way to the nearest passages: the beginning of a statement, which
// ends with a query named best of their hashes and distances, the condition
// for a place m to be visible, and the settings that it runs under. Only best
// looks at many rows, and it looks at no text.
//
// PostgreSQL would make joins of what is nested, and for tables that have grown
// since they were last analysed it would take some that begin anew for each
// passage. IS TRUE and OFFSET 0, which change nothing else, keep it from that.
type searchPlan struct{ bestQuery, visibleCondition, settings string }

// compareAllPlan measures the passages that stand in visible versions by one join
// with all of the space.
var compareAllPlan = searchPlan{`WITH ` + visibleDocuments + `, best AS MATERIALIZED (
		SELECT hash, embedding <=> @question AS distance
		FROM $passages
		WHERE space = $space AND hash IN (SELECT m.hash FROM visible d ` + joinManifest + `)
		ORDER BY distance, hash
		LIMIT @take
	)`, inVisibleDocuments, `SELECT ` + disableNestedLoops}

// compareFewPlan looks up each passage that stands in a visible version.
var compareFewPlan = searchPlan{`WITH ` + visibleDocuments + `, best AS MATERIALIZED (
		SELECT standing.hash, p.distance
		FROM (SELECT DISTINCT m.hash FROM visible d ` + joinManifest + ` OFFSET 0) AS standing
		CROSS JOIN LATERAL (
			SELECT embedding <=> @question AS distance FROM $passages WHERE space = $space AND hash = standing.hash OFFSET 0
		) AS p
		ORDER BY distance, hash
		LIMIT @take
	)`, inVisibleDocuments, ""}

// joinManifest joins the places m of a visible document d.
const joinManifest = `CROSS JOIN LATERAL (
			SELECT hash FROM manifest
			WHERE document = d.id AND version = d.published_version AND space = $space
			OFFSET 0
		) AS m`

// walkIndexPlan goes from one passage to the next nearest by the index, and asks of
// each whether it stands in a visible version.
var walkIndexPlan = searchPlan{`WITH best AS MATERIALIZED (
		SELECT hash, $vector <=> @question AS distance
		FROM $passages p
		WHERE space = $space
		  AND EXISTS (SELECT FROM manifest m WHERE m.space = $space AND m.hash = p.hash AND $visible OFFSET 0)
		ORDER BY $vector <=> @question
		LIMIT @take
	)`, `EXISTS (SELECT FROM documents d WHERE d.id = m.document AND d.published_version = m.version AND $filter OFFSET 0)`, `
	SELECT set_config('hnsw.ef_search', @width, true), set_config('hnsw.iterative_scan', 'relaxed_order', true),
	       set_config('hnsw.max_scan_tuples', @max_tuples, true), set_config('hnsw.scan_mem_multiplier', @memory, true)`}

const (
	visibleDocuments = `visible AS MATERIALIZED (
		SELECT d.id, d.published_version
		FROM $candidates
		WHERE d.published_version IS NOT NULL AND $rest
	)`

	inVisibleDocuments = `((m.document, m.version) IN (SELECT id, published_version FROM visible)) IS TRUE`
)

// runSearchPlan runs the plan for the take nearest passages and returns their places,
// at most as many passages as the query's limit. It ignores the threshold, which
// cuts off the end of the list.
//
// 2 is the greatest distance. A vector of length 0 has no angle to any other,
// its distance is NaN, and PostgreSQL sorts that last.
func runSearchPlan(ctx context.Context, tx pgx.Tx, space vector.Space, query vector.Query, in searchFilter, by searchPlan, take int) (places []hitRow, err error) {
	var batch pgx.Batch
	queueSearchPlan(&batch, space, query, in, by, take, &places)
	return places, tx.SendBatch(ctx, &batch).Close()
}

func queueSearchPlan(batch *pgx.Batch, space vector.Space, query vector.Query, in searchFilter, by searchPlan, take int, places *[]hitRow) {
	args := searchArgs(space, query, in, take)
	if by.settings != "" {
		batch.Queue(by.settings, args)
	}
	batch.Queue(by.statement(space, in), args).Query(func(rows pgx.Rows) (err error) {
		*places, err = pgx.CollectRows(rows, scanHitRow)
		return err
	})
}

func searchArgs(space vector.Space, query vector.Query, in searchFilter, take int) pgx.NamedArgs {
	return in.argsWith(pgx.NamedArgs{
		"space": space.ID, "question": pgvector.NewHalfVector(query.Vector), "take": take, "hits": query.Limit, "places": 1 + maxAlsoIn,
		"width": fmt.Sprint(searchWidth(space, take)), "max_tuples": maxScanTuples, "memory": scanMemMultiplier,
	})
}

// searchWidth returns hnsw.ef_search for a walk that returns take passages. The
// width of a space is measured for measuredHits; each further passage adds
// widthForMore.
func searchWidth(space vector.Space, take int) int {
	return min(cmp.Or(space.SearchWidth, defaultWidth)+widthPerExtraHit*max(0, take-measuredHits), maxWidth)
}

// disableNestedLoops has the planner join what compareAll joins by hashing. It takes the
// rows of visible for far fewer than they may be, and would look up each passage
// by itself, which costs twice as much. What is to be a nested loop all the same
// is written as one: LATERAL … OFFSET 0.
const disableNestedLoops = `set_config('enable_nestloop', 'off', true)`

// statement returns the whole statement for a space. The number of one with a
// table of its own is part of the text, so that the plan is made for it; all
// others have the same text.
func (by searchPlan) statement(space vector.Space, in searchFilter) string {
	id := "@space"
	if space.OwnTable {
		id = fmt.Sprint(space.ID)
	}
	return in.substitute(strings.NewReplacer("$passages", passagesTable(space), "$visible", by.visibleCondition, "$vector", indexExpression(space), "$space", id).Replace(by.bestQuery + `
		SELECT b.hash, 1 - b.distance, p.heading_path, p.context, p.content, p.tokens, coalesce(p.embedded_bytes, 0),
		       place.document, place.ordinal, place.start_byte, place.end_byte,
		       (SELECT d.key FROM documents d WHERE d.id = place.document),
		       (SELECT v.title FROM versions v WHERE v.document = place.document AND v.version = place.version)
		FROM (SELECT * FROM best ORDER BY distance, hash LIMIT @hits) AS b
		CROSS JOIN LATERAL (
			SELECT * FROM $passages WHERE space = $space AND hash = b.hash OFFSET 0
		) AS p
		CROSS JOIN LATERAL (
			SELECT m.document, m.version, m.ordinal, m.start_byte, m.end_byte
			FROM manifest m
			WHERE m.space = $space AND m.hash = b.hash AND $visible
			ORDER BY m.document, m.ordinal
			LIMIT @places
		) AS place
		WHERE b.distance <= 2
		ORDER BY b.distance, b.hash, place.document, place.ordinal`))
}

// comparingIsCheaper reports whether comparing the places that match the query's filter
// costs no more than a walk along the index. Of a space of N passages, of which
// the filter leaves n, a walk meets take × N / n before it has what it is to take,
// each of which costs comparisons times what comparing one costs. So both cost the
// same at n² = comparisons × take × N. Counting stops there.
func comparingIsCheaper(ctx context.Context, tx pgx.Tx, space vector.Space, in searchFilter, take int) (few bool, err error) {
	err = tx.QueryRow(ctx, in.substitute(`
		WITH `+visibleDocuments+`, bound AS MATERIALIZED (
			SELECT greatest(@least_few, sqrt(@comparisons::float8 * @take * greatest(reltuples, 0)))::bigint AS few
			FROM pg_class
			WHERE oid = @table::regclass
		)
		SELECT count(*) <= (SELECT few FROM bound)
		FROM (SELECT
		      FROM visible d
		      CROSS JOIN LATERAL (
		          SELECT FROM manifest WHERE document = d.id AND version = d.published_version AND space = @space OFFSET 0
		      ) AS m
		      LIMIT (SELECT few + 1 FROM bound)) AS places`),
		in.argsWith(pgx.NamedArgs{"space": space.ID, "take": take, "table": "public." + passagesTable(space), "least_few": compareAlwaysUpTo, "comparisons": comparisonsPerVisit})).Scan(&few)
	return few, err
}

func scanHitRow(row pgx.CollectableRow) (f hitRow, err error) {
	h := &f.hit
	err = row.Scan(&f.hash, &h.Score, &h.HeadingPath, &h.Context, &h.Content, &h.Tokens, &h.EmbeddedBytes,
		&h.DocumentID, &h.Ordinal, &h.Start, &h.End, &h.Key, &h.Title)
	return f, err
}

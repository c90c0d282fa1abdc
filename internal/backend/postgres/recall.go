package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/pgvector/pgvector-go"

	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	// defaultRecall is the share of the nearest passages that a walk along an
	// index is to find, where nothing else is asked for.
	defaultRecall = 0.95

	// defaultWidth is hnsw.ef_search of a space that has not been measured, and
	// maxWidth the most that pgvector takes.
	defaultWidth = 400
	maxWidth     = 1000

	// measuredQuestions is the number of questions that measure a space, measuredHits
	// the number of passages that each asks for, and questionPassages the number of
	// stored vectors that each is the sum of. A real question needs up to eight times
	// the width that a stored vector needs. A sum of two vectors sometimes needs less
	// than that, a sum of three as much or more; docs/performance.md has the figures.
	measuredQuestions = 100
	measuredHits      = 10
	questionPassages  = 3
)

// triedWidths are the values of hnsw.ef_search that are tried, the cheapest first. The
// first is pgvector's default: less saves little time and costs recall under a filter.
var triedWidths = []int{40, 60, 80, 120, 160, 240, 320, 400, 500, 640, 800, maxWidth}

// isUnmeasured is the condition for the index of space s to be measured: it never
// was, as in releases before this was done, or when there were less than half as
// many passages.
const isUnmeasured = `(s.ef_search IS NULL
	OR (SELECT reltuples FROM pg_class WHERE oid = to_regclass('public.passages_' || s.id)) > 2 * s.measured_tuples)`

// measureSearchWidth finds out how wide a walk along the space's index has to look
// around, and has searches do so: a little wider than it takes to find the wanted
// share of what the widest walk finds.
func (s *Store) measureSearchWidth(ctx context.Context, space vector.Space) error {
	var questions []pgvector.HalfVector
	if err := s.inTenant(ctx, func(tx pgx.Tx) (err error) {
		questions, err = sampleQuestions(ctx, tx, space)
		return err
	}); err != nil {
		return err
	}
	nearest, err := s.searchAtWidth(ctx, space, questions, maxWidth)
	if err != nil {
		return err
	}
	width := maxWidth
	for i, w := range triedWidths {
		found, err := s.searchAtWidth(ctx, space, questions, w)
		if err != nil {
			return err
		}
		if mean(recalls(nearest, found)) >= s.recall {
			width = triedWidths[min(i+1, len(triedWidths)-1)] // the next one: other questions may be harder
			break
		}
	}
	return s.inTenant(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `
			UPDATE spaces SET ef_search = $2, measured_tuples = (SELECT reltuples FROM pg_class WHERE oid = $3::regclass)
			WHERE id = $1`, space.ID, width, "public."+passagesTable(space))
		return err
	})
}

// sampleQuestions makes questions of passages of the space, in the order of their
// hashes, which is no order of their meaning.
func sampleQuestions(ctx context.Context, tx pgx.Tx, space vector.Space) ([]pgvector.HalfVector, error) {
	vectors, err := queryAll(ctx, tx, pgx.RowTo[pgvector.HalfVector], `
		SELECT embedding FROM `+passagesTable(space)+` WHERE space = $1 ORDER BY hash LIMIT $2`, space.ID, measuredQuestions*questionPassages)
	if err != nil {
		return nil, err
	}
	var questions []pgvector.HalfVector
	for amid := range slices.Chunk(vectors, questionPassages) {
		sum := make([]float32, space.Model.Dimensions)
		for _, vector := range amid {
			for d, x := range vector.Slice() {
				sum[d] += x
			}
		}
		questions = append(questions, pgvector.NewHalfVector(sum))
	}
	return questions, nil
}

// searchAtWidth returns what walks of a width find for each question.
func (s *Store) searchAtWidth(ctx context.Context, space vector.Space, questions []pgvector.HalfVector, width int) (found []map[document.ContentHash]bool, err error) {
	statement := fmt.Sprintf(`SELECT hash FROM %s WHERE space = $2 ORDER BY %s <=> $1 LIMIT %d`, passagesTable(space), indexExpression(space), measuredHits)
	for _, question := range questions {
		hashes := make(map[document.ContentHash]bool, measuredHits)
		if err := s.inTenant(ctx, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `
				SELECT set_config('hnsw.ef_search', $1, true), set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true)`,
				fmt.Sprint(width)); err != nil {
				return err
			}
			nearest, err := queryAll(ctx, tx, scanHash, statement, question, space.ID)
			for _, hash := range nearest {
				hashes[hash] = true
			}
			return err
		}); err != nil {
			return nil, err
		}
		found = append(found, hashes)
	}
	return found, nil
}

// recalls returns for each question which share of the nearest was found.
func recalls(nearest, found []map[document.ContentHash]bool) []float64 {
	shares := make([]float64, len(nearest))
	for i := range nearest {
		hit := 0
		for hash := range nearest[i] {
			if found[i][hash] {
				hit++
			}
		}
		shares[i] = float64(hit) / float64(max(1, len(nearest[i])))
	}
	return shares
}

func mean(shares []float64) float64 {
	if len(shares) == 0 {
		return 1
	}
	sum := 0.0
	for _, share := range shares {
		sum += share
	}
	return sum / float64(len(shares))
}

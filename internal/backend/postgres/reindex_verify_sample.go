package postgres

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/pgvector/pgvector-go"

	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	// sampleHits is among how many of the nearest a passage must find itself.
	sampleHits = 10

	// sameScore is the similarity that equal vectors have at least, whatever
	// rounding did to it. A passage may find others like it instead of itself.
	sameScore = 1 - 1e-4
)

// checkSample fails unless some passages that readers see, picked at random, are
// found by their own vectors. All that are compared one by one must be; along
// an index, which is approximate, three quarters of them.
func (s *Store) checkSample(ctx context.Context, id int64, sample int) error {
	missed := 0
	for range sample {
		var found sampleResult
		if err := s.inSnapshot(ctx, func(tx pgx.Tx) error {
			space, err := readSpace(ctx, tx, id) // it may have got an index since it was claimed
			if err != nil {
				return err
			}
			found, err = searchSample(ctx, tx, space)
			return err
		}); err != nil {
			return err
		}
		switch found {
		case sampleEmpty:
			return nil
		case sampleFoundExactly:
			missed++
		}
	}
	if missed > sample/4 {
		return fmt.Errorf("the index of space %d leads to %d of %d passages by their own vectors", id, sample-missed, sample)
	}
	return nil
}

// sampleResult is how a passage was found.
type sampleResult int

const (
	sampleEmpty        sampleResult = iota // there was none to search for
	sampleFoundExactly                     // not by the index, but by comparing all
	sampleFoundByIndex                     // as searches find it
)

// searchSample searches for a passage. One that is not found may have been deleted
// before the search: then another is picked in its place.
func searchSample(ctx context.Context, tx pgx.Tx, space vector.Space) (sampleResult, error) {
	exact := space
	exact.Indexed = false
	var from, missed document.ContentHash
	rand.Read(from[:])
	for {
		hash, vector, err := pickSamplePassage(ctx, tx, space, from)
		if isNoRows(err) && from != (document.ContentHash{}) {
			from = document.ContentHash{} // hashes go round
			continue
		}
		switch {
		case isNoRows(err):
			return sampleEmpty, nil
		case err != nil:
			return sampleEmpty, fmt.Errorf("pick a passage: %w", err)
		case hash == missed:
			return sampleEmpty, fmt.Errorf("passage %x is not found by its own vector", hash)
		}
		if itself, err := findsItself(ctx, tx, space, hash, vector); err != nil || itself {
			return sampleFoundByIndex, err
		}
		if itself, err := findsItself(ctx, tx, exact, hash, vector); err != nil || itself {
			return sampleFoundExactly, err
		}
		missed = hash
	}
}

// findsItself reports whether a passage is among the nearest to its own vector.
func findsItself(ctx context.Context, tx pgx.Tx, space vector.Space, hash document.ContentHash, values []float32) (bool, error) {
	query := vector.Query{Vector: values, Limit: sampleHits}
	hits, err := nearestPassages(ctx, tx, space, query, collectionFilter(space, query))
	if err != nil {
		return false, fmt.Errorf("search for passage %x: %w", hash, err)
	}
	return slices.ContainsFunc(hits, func(hit hitRow) bool {
		return bytes.Equal(hit.hash, hash[:]) || hit.hit.Score >= sameScore
	}), nil
}

// pickSamplePassage returns the first passage from a hash on that stands in a live
// version. Vectors of length 0 are left out: they have no angle to any other.
func pickSamplePassage(ctx context.Context, tx pgx.Tx, space vector.Space, from document.ContentHash) (hash document.ContentHash, vector []float32, err error) {
	var raw []byte
	var embedding pgvector.HalfVector
	err = tx.QueryRow(ctx, `
		SELECT p.hash, p.embedding
		FROM `+passagesTable(space)+` p
		WHERE p.space = $1 AND p.hash >= $2
		  AND EXISTS (SELECT FROM manifest m
		              JOIN documents d ON d.id = m.document AND d.published_version = m.version
		              WHERE m.space = $1 AND m.hash = p.hash AND d.deleted_at IS NULL)
		  AND l2_norm(p.embedding) > 0
		ORDER BY p.hash
		LIMIT 1`, space.ID, from[:]).Scan(&raw, &embedding)
	copy(hash[:], raw)
	return hash, embedding.Slice(), err
}

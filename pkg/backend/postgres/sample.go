package postgres

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/pgvector/pgvector-go"

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
		var found finding
		if err := s.inSnapshot(ctx, func(tx pgx.Tx) error {
			space, err := readSpace(ctx, tx, id) // it may have got an index since it was claimed
			if err != nil {
				return err
			}
			found, err = findOne(ctx, tx, space)
			return err
		}); err != nil {
			return err
		}
		switch found {
		case foundNothing:
			return nil
		case foundExactly:
			missed++
		}
	}
	if missed > sample/4 {
		return fmt.Errorf("the index of space %d leads to %d of %d passages by their own vectors", id, sample-missed, sample)
	}
	return nil
}

// finding is how a passage was found.
type finding int

const (
	foundNothing finding = iota // there was none to search for
	foundExactly                // not by the index, but by comparing all
	foundAsUsual                // as searches find it
)

// findOne searches for a passage. One that is not found may have been deleted
// before the search: then another is picked in its place.
func findOne(ctx context.Context, tx pgx.Tx, space document.Space) (finding, error) {
	exact := space
	exact.Indexed = false
	var from, missed document.Hash
	rand.Read(from[:])
	for {
		hash, vector, err := pickPassage(ctx, tx, space, from)
		if isNoRows(err) && from != (document.Hash{}) {
			from = document.Hash{} // hashes go round
			continue
		}
		switch {
		case isNoRows(err):
			return foundNothing, nil
		case err != nil:
			return foundNothing, fmt.Errorf("pick a passage: %w", err)
		case hash == missed:
			return foundNothing, fmt.Errorf("passage %x is not found by its own vector", hash)
		}
		if itself, err := findsItself(ctx, tx, space, hash, vector); err != nil || itself {
			return foundAsUsual, err
		}
		if itself, err := findsItself(ctx, tx, exact, hash, vector); err != nil || itself {
			return foundExactly, err
		}
		missed = hash
	}
}

// findsItself reports whether a passage is among the nearest to its own vector.
func findsItself(ctx context.Context, tx pgx.Tx, space document.Space, hash document.Hash, vector []float32) (bool, error) {
	query := document.Query{Vector: vector, Limit: sampleHits}
	hits, err := nearest(ctx, tx, space, query, collectionFilter(space, query))
	if err != nil {
		return false, fmt.Errorf("search for passage %x: %w", hash, err)
	}
	return slices.ContainsFunc(hits, func(hit found) bool {
		return bytes.Equal(hit.hash, hash[:]) || hit.hit.Score >= sameScore
	}), nil
}

// pickPassage returns the first passage from a hash on that stands in a live
// version. Vectors of length 0 are left out: they have no angle to any other.
func pickPassage(ctx context.Context, tx pgx.Tx, space document.Space, from document.Hash) (hash document.Hash, vector []float32, err error) {
	var raw []byte
	var embedding pgvector.HalfVector
	err = tx.QueryRow(ctx, `
		SELECT p.hash, p.embedding
		FROM `+passagesTable(space)+` p
		WHERE p.space = $1 AND p.hash >= $2
		  AND EXISTS (SELECT FROM manifest m
		              JOIN documents d ON d.id = m.document AND d.live_version = m.version
		              WHERE m.space = $1 AND m.hash = p.hash AND d.deleted_at IS NULL)
		  AND l2_norm(p.embedding) > 0
		ORDER BY p.hash
		LIMIT 1`, space.ID, from[:]).Scan(&raw, &embedding)
	copy(hash[:], raw)
	return hash, embedding.Slice(), err
}

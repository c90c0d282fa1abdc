package postgres

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"

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

// findSample fails unless some passages that readers see, picked at random, are
// found by their own vectors.
func (s *Store) findSample(ctx context.Context, id int64, sample int) error {
	for range sample {
		var tested bool
		if err := s.inTenant(ctx, func(tx pgx.Tx) error {
			space, err := readSpace(ctx, tx, id) // it may have got an index since it was claimed
			if err != nil {
				return err
			}
			tested, err = findOne(ctx, tx, space)
			return err
		}); err != nil || !tested {
			return err
		}
	}
	return nil
}

// findOne searches for a passage, and reports whether there was any to search
// for. One that is not found may have been deleted before the search: then
// another is picked in its place.
func findOne(ctx context.Context, tx pgx.Tx, space document.Space) (tested bool, err error) {
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
			return false, nil
		case err != nil:
			return false, fmt.Errorf("pick a passage: %w", err)
		case hash == missed:
			return false, fmt.Errorf("passage %x is not found by its own vector", hash)
		}
		hits, err := nearest(ctx, tx, space, document.Query{Vector: vector, Limit: sampleHits, Threshold: -1})
		if err != nil {
			return false, fmt.Errorf("search for passage %x: %w", hash, err)
		}
		for _, hit := range hits {
			if bytes.Equal(hit.hash, hash[:]) || hit.hit.Score >= sameScore {
				return true, nil
			}
		}
		missed = hash
	}
}

// pickPassage returns the first passage from a hash on that stands in a live
// version. Vectors of length 0 are left out: they have no angle to any other.
func pickPassage(ctx context.Context, tx pgx.Tx, space document.Space, from document.Hash) (hash document.Hash, vector []float32, err error) {
	var raw []byte
	var embedding pgvector.HalfVector
	err = tx.QueryRow(ctx, `
		SELECT p.hash, p.embedding
		FROM passages p
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

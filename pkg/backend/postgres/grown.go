package postgres

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	// growthStep is about how many passages are published in a space until it is
	// listed once more: few of the thresholds that are looked for.
	growthStep = 100

	// maxGrownEntries is the maximum number of entries that Grown reads.
	maxGrownEntries = 5000
)

// queueGrown lists a space that passages were published in, one time in as many
// as make a step of its growth: nothing is counted, and no two transactions wait
// for each other.
func queueGrown(batch *pgx.Batch, space, passages int64) {
	if rand.Int64N(growthStep) < passages {
		batch.Queue(`INSERT INTO grown_spaces (space) VALUES ($1)`, space)
	}
}

// Grown returns the listed spaces that want the care. Entries of those that want
// none are removed; others stay until their spaces have what they want. What is
// listed is read with the passages that it was listed for.
func (s *Store) Grown(ctx context.Context, care document.SpaceCare, threshold int) (spaces []document.Space, err error) {
	defer describe(&err, "find grown spaces")
	var done []int64
	if err := s.inSnapshot(ctx, func(tx pgx.Tx) error {
		spaces, done = nil, nil
		entries, err := grownEntries(ctx, tx)
		if err != nil || len(entries) == 0 {
			return err
		}
		candidates, err := readCandidates(ctx, tx, slices.Collect(maps.Keys(entries)), care, threshold)
		if err != nil {
			return err
		}
		for _, c := range candidates {
			if c.wanting {
				spaces = append(spaces, c.Space)
			}
			if c.wanting || c.care() != care {
				entries[c.ID] = entries[c.ID][1:] // one of them stays
			}
		}
		done = slices.Concat(slices.Collect(maps.Values(entries))...)
		return nil
	}); err != nil || len(done) == 0 {
		return spaces, err
	}
	return spaces, s.inTenant(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM grown_spaces WHERE id = ANY ($1)`, done)
		return err
	})
}

// grownEntries returns the oldest entries of the list, by space.
func grownEntries(ctx context.Context, tx pgx.Tx) (map[int64][]int64, error) {
	rows, err := tx.Query(ctx, `SELECT id, space FROM grown_spaces ORDER BY id LIMIT $1`, maxGrownEntries)
	if err != nil {
		return nil, err
	}
	entries := map[int64][]int64{}
	var id, space int64
	_, err = pgx.ForEachRow(rows, []any{&id, &space}, func() error {
		entries[space] = append(entries[space], id)
		return nil
	})
	return entries, err
}

// GrownAfter returns those of the next limit spaces after an id that want the
// care, and the id of the last one that it has looked at, 0 when it was the last.
func (s *Store) GrownAfter(ctx context.Context, care document.SpaceCare, threshold int, after int64, limit int) (spaces []document.Space, last int64, err error) {
	defer describe(&err, "look for grown spaces after %d", after)
	err = s.inSnapshot(ctx, func(tx pgx.Tx) error {
		spaces, last = nil, 0
		ids, err := collect(ctx, tx, pgx.RowTo[int64], `SELECT id FROM spaces WHERE id > $1 ORDER BY id LIMIT $2`, after, limit)
		if err != nil || len(ids) == 0 {
			return err
		}
		if len(ids) == limit {
			last = ids[limit-1]
		}
		candidates, err := readCandidates(ctx, tx, ids, care, threshold)
		for _, c := range candidates {
			if c.wanting {
				spaces = append(spaces, c.Space)
			}
		}
		return err
	})
	return spaces, last, err
}

// candidate is a space that may want some care: it is written to, and no reindex
// builds it. One that does sees to its index itself, when the space is loaded.
type candidate struct {
	document.Space
	storage    string
	unmeasured bool
	wanting    bool // the care that it was read for, now
}

const selectCandidates = `
	SELECT ` + spaceColumns + `, s.storage, CASE WHEN s.indexed THEN ` + isUnmeasured + ` ELSE false END
	FROM (SELECT * FROM spaces s WHERE s.written) s
	JOIN collections c ON c.id = s.collection AND (s.id = c.live_space OR NOT ` + isBuilt + `)`

// readCandidates reads which of the spaces are candidates, and whether they want
// the care, in the order of their ids.
func readCandidates(ctx context.Context, tx pgx.Tx, ids []int64, care document.SpaceCare, threshold int) ([]candidate, error) {
	candidates, err := collect(ctx, tx, scanCandidate, selectCandidates+`
		WHERE s.id = ANY ($1)
		ORDER BY s.id`, ids)
	if err != nil {
		return nil, err
	}
	for i := range candidates {
		c := &candidates[i]
		if c.wanting, err = c.wants(ctx, tx, care, threshold); err != nil {
			return nil, err
		}
	}
	return candidates, nil
}

func scanCandidate(row pgx.CollectableRow) (c candidate, err error) {
	err = row.Scan(append(spaceFields(&c.Space), &c.storage, &c.unmeasured)...)
	return c, err
}

// care returns the care that the space may want where it stands.
func (c candidate) care() document.SpaceCare {
	if c.storage == "own" {
		return document.CareIndex
	}
	return document.CareMove
}

// wants reports whether the space wants the care now. A move that was begun is to
// be finished.
func (c candidate) wants(ctx context.Context, tx pgx.Tx, care document.SpaceCare, threshold int) (bool, error) {
	switch {
	case c.care() != care:
		return false, nil
	case c.storage == "shared":
		return isLarge(ctx, tx, c.Space, min(threshold, ownTableFrom))
	case care == document.CareMove:
		return true, nil
	case c.Indexed:
		return c.unmeasured, nil
	case c.Model.Dimensions > maxIndexDimensions:
		return false, nil
	default:
		return isLarge(ctx, tx, c.Space, threshold)
	}
}

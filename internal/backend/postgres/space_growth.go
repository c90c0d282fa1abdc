package postgres

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/vector"
)

const (
	// growthStep is about how many passages are published in a space until it is
	// listed once more: few of the thresholds that are looked for.
	growthStep = 100

	// maxGrownEntries is the maximum number of entries that Grown reads.
	maxGrownEntries = 5000
)

// queueInsertGrownSpace lists a space that passages were published in, one time in as many
// as make a step of its growth: nothing is counted, and no two transactions wait
// for each other.
func queueInsertGrownSpace(batch *pgx.Batch, space, passages int64) {
	if rand.Int64N(growthStep) < passages {
		batch.Queue(`INSERT INTO grown_spaces (space) VALUES ($1)`, space)
	}
}

// GrownSpaces returns the listed spaces that want the care. Entries of those that want
// none are removed; others stay until their spaces have what they want. What is
// listed is read with the passages that it was listed for.
func (s *Store) GrownSpaces(ctx context.Context, care vector.Maintenance, threshold int) (spaces []vector.Space, err error) {
	defer wrapError(&err, "find grown spaces")
	var done []int64
	if err := s.inSnapshot(ctx, func(tx pgx.Tx) error {
		spaces, done = nil, nil
		entries, err := readGrownEntries(ctx, tx)
		if err != nil || len(entries) == 0 {
			return err
		}
		candidates, err := readCareCandidates(ctx, tx, slices.Collect(maps.Keys(entries)), care, threshold)
		if err != nil {
			return err
		}
		for _, c := range candidates {
			if c.needsCare {
				spaces = append(spaces, c.Space)
			}
			if c.needsCare || c.careKind() != care {
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

// readGrownEntries returns the oldest entries of the list, by space.
func readGrownEntries(ctx context.Context, tx pgx.Tx) (map[int64][]int64, error) {
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

// GrownSpacesAfter returns those of the next limit spaces after an id that want the
// care, and the id of the last one that it has looked at, 0 when it was the last.
func (s *Store) GrownSpacesAfter(ctx context.Context, care vector.Maintenance, threshold int, after int64, limit int) (spaces []vector.Space, last int64, err error) {
	defer wrapError(&err, "look for grown spaces after %d", after)
	err = s.inSnapshot(ctx, func(tx pgx.Tx) error {
		spaces, last = nil, 0
		ids, err := queryAll(ctx, tx, pgx.RowTo[int64], `SELECT id FROM spaces WHERE id > $1 ORDER BY id LIMIT $2`, after, limit)
		if err != nil || len(ids) == 0 {
			return err
		}
		if len(ids) == limit {
			last = ids[limit-1]
		}
		candidates, err := readCareCandidates(ctx, tx, ids, care, threshold)
		for _, c := range candidates {
			if c.needsCare {
				spaces = append(spaces, c.Space)
			}
		}
		return err
	})
	return spaces, last, err
}

// careCandidate is a space that may want some care: it is written to, and no reindex
// builds it. One that does sees to its index itself, when the space is loaded.
type careCandidate struct {
	vector.Space
	storage    string
	unmeasured bool
	needsCare  bool // the care that it was read for, now
}

const selectCareCandidates = `
	SELECT ` + spaceColumns + `, s.storage, CASE WHEN s.indexed THEN ` + isUnmeasured + ` ELSE false END
	FROM (SELECT * FROM spaces s WHERE s.written) s
	JOIN collections c ON c.id = s.collection AND (s.id = c.active_space OR NOT ` + isBeingBuilt + `)`

// readCareCandidates reads which of the spaces are candidates, and whether they want
// the care, in the order of their ids.
func readCareCandidates(ctx context.Context, tx pgx.Tx, ids []int64, care vector.Maintenance, threshold int) ([]careCandidate, error) {
	candidates, err := queryAll(ctx, tx, scanCareCandidate, selectCareCandidates+`
		WHERE s.id = ANY ($1)
		ORDER BY s.id`, ids)
	if err != nil {
		return nil, err
	}
	for i := range candidates {
		c := &candidates[i]
		if c.needsCare, err = c.checkNeedsCare(ctx, tx, care, threshold); err != nil {
			return nil, err
		}
	}
	return candidates, nil
}

func scanCareCandidate(row pgx.CollectableRow) (c careCandidate, err error) {
	err = row.Scan(append(spaceFields(&c.Space), &c.storage, &c.unmeasured)...)
	return c, err
}

// careKind returns the care that the space may want where it stands.
func (c careCandidate) careKind() vector.Maintenance {
	if c.storage == "own" {
		return vector.MaintenanceIndex
	}
	return vector.MaintenanceMove
}

// checkNeedsCare reports whether the space wants the care now. A move that was begun is to
// be finished.
func (c careCandidate) checkNeedsCare(ctx context.Context, tx pgx.Tx, care vector.Maintenance, threshold int) (bool, error) {
	switch {
	case c.careKind() != care:
		return false, nil
	case c.storage == "shared":
		return hasAtLeastPassages(ctx, tx, c.Space, min(threshold, ownTableThreshold))
	case care == vector.MaintenanceMove:
		return true, nil
	case c.Indexed:
		return c.unmeasured, nil
	case c.Model.Dimensions > maxIndexDimensions:
		return false, nil
	default:
		return hasAtLeastPassages(ctx, tx, c.Space, threshold)
	}
}

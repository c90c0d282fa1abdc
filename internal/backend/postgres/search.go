package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// maxAlsoIn is how many further places of a passage a hit names.
const maxAlsoIn = 10

// NearestPassages returns the passages of live versions that are nearest to the
// query's vector, best first.
func (s *Store) NearestPassages(ctx context.Context, space vector.Space, query vector.Query) (hits []document.Hit, err error) {
	defer wrapError(&err, "search space %d", space.ID)
	if space.Model.Dimensions == 0 { // nothing can be there yet
		return []document.Hit{}, s.inSnapshotOneTrip(ctx, func(batch *pgx.Batch) { queueCheckActiveSpace(batch, &space) })
	}
	if err := lifecycle.CheckQueryVector(len(query.Vector), space.Model); err != nil {
		return nil, err
	}
	places, enough, err := s.nearestInOneTrip(ctx, space, query)
	if err == nil && !enough {
		err = s.inSnapshot(ctx, func(tx pgx.Tx) error {
			var batch pgx.Batch
			queueCheckActiveSpace(&batch, &space)
			in := queueReadFilter(&batch, space, query)
			if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
				return err
			}
			places, err = nearestPassages(ctx, tx, space, query, *in)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	return mergeHits(places, query.Threshold), nil
}

// queueCheckActiveSpace reads where the passages of a space stand, or fails unless it is the
// collection's live one. What the snapshot has of that is complete.
func queueCheckActiveSpace(batch *pgx.Batch, space *vector.Space) {
	batch.Queue(`
		SELECT s.storage IN ('moved', 'own')
		FROM spaces s
		JOIN collections c ON c.active_space = s.id
		WHERE s.id = $1 AND c.id = $2`, space.ID, space.CollectionID).QueryRow(func(row pgx.Row) error {
		err := row.Scan(&space.OwnTable)
		if isNoRows(err) {
			return lifecycle.SpaceNotActive(space.ID)
		}
		return err
	})
}

// mergeHits makes one hit of the places of a passage: the first, with the others
// beside it. Places are of passages that are further and further away; it ends
// with the threshold.
func mergeHits(places []hitRow, threshold float64) []document.Hit {
	hits := []document.Hit{}
	var hash []byte // of the last hit
	for _, f := range places {
		if f.hit.Score < threshold {
			break
		}
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

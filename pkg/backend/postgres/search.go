package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// maxAlsoIn is how many further places of a passage a hit names.
const maxAlsoIn = 10

// Nearest returns the passages of live versions that are nearest to the
// query's vector, best first.
func (s *Store) Nearest(ctx context.Context, space document.Space, query document.Query) (hits []document.Hit, err error) {
	defer describe(&err, "search space %d", space.ID)
	if space.Model.Dimensions == 0 { // nothing can be there yet
		return []document.Hit{}, s.inSnapshot(ctx, func(tx pgx.Tx) error { return readLive(ctx, tx, &space) })
	}
	if len(query.Vector) != space.Model.Dimensions {
		return nil, fault.New(fault.BadRequest, "a vector of %d dimensions cannot be compared with those of model %q, which have %d",
			len(query.Vector), space.Model.Name, space.Model.Dimensions)
	}
	err = s.inSnapshot(ctx, func(tx pgx.Tx) error {
		if err := readLive(ctx, tx, &space); err != nil {
			return err
		}
		found, err := nearest(ctx, tx, space, query)
		hits = merge(found, query.Threshold)
		return err
	})
	if err != nil {
		return nil, err
	}
	return hits, nil
}

// readLive reads where the passages of a space stand, or fails unless it is the
// collection's live one. What the snapshot has of that is complete.
func readLive(ctx context.Context, tx pgx.Tx, space *document.Space) error {
	var live document.Space
	err := tx.QueryRow(ctx, selectSpaces+`
		JOIN collections c ON c.live_space = s.id
		WHERE c.id = $1 AND c.live_space = $2`, space.Collection, space.ID).Scan(spaceFields(&live)...)
	if isNoRows(err) {
		return fault.New(fault.Conflict, "space %d no longer answers searches of its collection: ask again", space.ID)
	}
	space.OwnTable = live.OwnTable
	return err
}

// merge makes one hit of the places of a passage: the first, with the others
// beside it. Places are of passages that are further and further away; it ends
// with the threshold.
func merge(places []found, threshold float64) []document.Hit {
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

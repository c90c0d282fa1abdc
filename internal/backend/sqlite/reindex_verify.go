package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// VerifySpace looks whether the work's space may become live. What takes time is
// read beside the writers; only what is damaged is written.
func (s *Store) VerifySpace(ctx context.Context, work task.Work, sample int) (err error) {
	defer wrapError(&err, "verify space %d", work.Space.ID)
	var damaged []versionKey
	if err := s.inReadTransaction(ctx, func(tx transaction) error {
		r, err := loadLeasedReindex(ctx, tx, work)
		if err != nil {
			return err
		}
		if damaged, err = damagedVersions(ctx, tx, work.Space); err != nil || len(damaged) > 0 {
			return err
		}
		if err := checkSpaceComplete(ctx, tx, r.collection, work.Space.ID); err != nil {
			return err
		}
		return checkSample(ctx, tx, work.Space, sample)
	}); err != nil || len(damaged) == 0 {
		return err
	}
	var missing int64
	if err := s.inWriteTransaction(ctx, func(tx transaction) (err error) {
		if err := checkLease(ctx, tx, work); err != nil {
			return err
		}
		for _, of := range damaged {
			if err := deleteSpaceVersion(ctx, tx, of, work.Space); err != nil {
				return err
			}
		}
		// A switch that has counted the documents before this counts them again.
		if err := tx.exec(ctx, `
			UPDATE spaces SET missed_publications = missed_publications + 1 WHERE tenant = ?1 AND id = ?2`, tx.tenant, work.Space.ID); err != nil {
			return err
		}
		missing, _, err = countMissing(ctx, tx, work.Space.CollectionID, work.Space.ID)
		return err
	}); err != nil {
		return err
	}
	return lifecycle.DocumentsMissing(max(missing, int64(len(damaged))), work.Space.ID)
}

// damagedVersions returns live versions that are said to be whole in a space
// and are not.
func damagedVersions(ctx context.Context, tx transaction, space vector.Space) ([]versionKey, error) {
	rows, err := tx.QueryContext(ctx, `
		SELECT d.id, d.published_version
		FROM documents d
		CROSS JOIN space_versions pl ON pl.tenant = d.tenant AND pl.document = d.id AND pl.version = d.published_version AND pl.space = ?3
		WHERE d.tenant = ?1 AND d.collection = ?2 AND d.deleted_at IS NULL AND NOT `+isSpaceVersionWhole,
		tx.tenant, space.CollectionID, space.ID)
	return collectRows(rows, err, scanVersionKey)
}

// checkSample fails unless passages of the space, searched for by their own
// vector, are found. They are taken at random from those of live versions.
func checkSample(ctx context.Context, tx transaction, space vector.Space, sample int) error {
	rows, err := tx.QueryContext(ctx, `
		SELECT p.content, p.embedding, 1.0 - vec_distance_cosine(p.embedding, p.embedding)
		FROM passages p
		WHERE p.id IN (
			SELECT q.id FROM passages q
			WHERE q.tenant = ?1 AND q.space = ?2 AND EXISTS (
				SELECT 1 FROM manifest m
				JOIN documents d ON d.tenant = m.tenant AND d.id = m.document AND d.published_version = m.version
				WHERE m.passage = q.id AND d.deleted_at IS NULL)
			ORDER BY random()
			LIMIT ?3)`, tx.tenant, space.ID, sample)
	passages, err := collectRows(rows, err, func(row scanner) (p sampledPassage, err error) {
		return p, row.Scan(&p.content, &p.vector, &p.score)
	})
	if err != nil {
		return err
	}
	for _, p := range passages {
		if found, err := p.isFound(ctx, tx, space); err != nil {
			return err
		} else if !found {
			return fmt.Errorf("a passage is not found by its own vector, it begins %.80q", p.content)
		}
	}
	return nil
}

// sampledPassage is a passage with its vector and the score of that for itself.
type sampledPassage struct {
	content string
	vector  []byte
	score   sql.NullFloat64
}

// isFound reports whether a search for the passage's vector finds it, or as
// many others that are as near. No search finds a vector without a direction.
func (p sampledPassage) isFound(ctx context.Context, tx transaction, space vector.Space) (bool, error) {
	if !p.score.Valid {
		return true, nil
	}
	const rounding = 1e-4
	hits, err := nearestPassages(ctx, tx, space, vector.Query{Limit: 10, Threshold: p.score.Float64 - rounding}, p.vector)
	return len(hits) == 10 || slices.ContainsFunc(hits, func(hit document.Hit) bool { return hit.Content == p.content }), err
}

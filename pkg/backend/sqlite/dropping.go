package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// DropOrphans removes passages that stand nowhere, but for those stored less
// than quiet ago and those that what comes next may place: tasks under way, a
// reindex, or the resumption of one.
func (s *Store) DropOrphans(ctx context.Context, quiet time.Duration, limit int) (dropped int, err error) {
	defer describe(&err, "drop orphans")
	err = s.write(ctx, func(tx transaction) error {
		dropped, err = removed(tx.ExecContext(ctx, `
			WITH under_way AS MATERIALIZED (
				SELECT d.collection, min(v.created_at) AS since
				FROM tasks t
				JOIN versions v  ON v.tenant = t.tenant AND v.document = t.document AND v.version = t.version
				JOIN documents d ON d.tenant = t.tenant AND d.id = t.document
				WHERE t.tenant = ?1 AND t.kind = 'knowledge' AND t.state IN ('queued', 'running', 'waiting')
				GROUP BY d.collection
			), swept AS MATERIALIZED (
				SELECT s.id, u.since
				FROM spaces s
				LEFT JOIN under_way u ON u.collection = s.collection
				WHERE s.tenant = ?1 AND s.written AND NOT `+isBuilt+`
			)
			DELETE FROM passages WHERE id IN (
				SELECT p.id
				FROM swept s
				CROSS JOIN passages p ON p.tenant = ?1 AND p.space = s.id
				WHERE p.created_at <= ?3
				  AND (s.since IS NULL OR p.created_at < s.since)
				  AND NOT EXISTS (SELECT 1 FROM manifest m WHERE m.passage = p.id)
				LIMIT ?2)`, tx.tenant, limit, tx.now.add(-quiet)))
		return err
	})
	return dropped, err
}

// DropSpaces removes spaces whose time is over: their placements, their places,
// their passages and then the spaces, up to limit of all these together.
func (s *Store) DropSpaces(ctx context.Context, limit int) (dropped int, err error) {
	defer describe(&err, "drop spaces")
	err = s.write(ctx, func(tx transaction) error {
		for dropped < limit {
			var space int64
			err := tx.QueryRowContext(ctx, `
				SELECT s.id
				FROM spaces s
				JOIN collections c ON c.tenant = s.tenant AND c.id = s.collection
				WHERE s.tenant = ?1 AND s.drop_after <= ?2 AND s.id <> c.live_space AND NOT `+isBuilt+`
				ORDER BY s.id
				LIMIT 1`, tx.tenant, tx.now).Scan(&space)
			if errors.Is(err, sql.ErrNoRows) {
				return nil
			}
			if err != nil {
				return err
			}
			count, err := dropSpace(ctx, tx, space, limit-dropped)
			if err != nil {
				return err
			}
			dropped += count
		}
		return nil
	})
	return dropped, err
}

// dropSpace removes up to limit things: what is in a space, and the space once
// nothing is. Until no version is said to be whole in it, all places stay.
// Passages go after the places that name them, and at their pace, so that no
// call looks again at what others have passed over: half of what is left of the
// limit is for places.
func dropSpace(ctx context.Context, tx transaction, space int64, limit int) (dropped int, err error) {
	dropped, err = removed(tx.ExecContext(ctx, `
		DELETE FROM placements WHERE (tenant, document, version, space) IN (
			SELECT tenant, document, version, space FROM placements
			WHERE tenant = ?1 AND space = ?2
			LIMIT ?3)`, tx.tenant, space, limit))
	if err != nil || dropped == limit {
		return dropped, err
	}
	left := limit - dropped
	places, err := removed(tx.ExecContext(ctx, `
		DELETE FROM manifest WHERE (tenant, document, version, space, ordinal) IN (
			SELECT m.tenant, m.document, m.version, m.space, m.ordinal
			FROM passages p
			CROSS JOIN manifest m ON m.passage = p.id
			WHERE p.tenant = ?1 AND p.space = ?2
			LIMIT ?3)`, tx.tenant, space, (left+1)/2))
	if err != nil {
		return dropped, err
	}
	passages, err := removed(tx.ExecContext(ctx, `
		DELETE FROM passages WHERE id IN (
			SELECT p.id FROM passages p
			WHERE p.tenant = ?1 AND p.space = ?2 AND NOT EXISTS (SELECT 1 FROM manifest m WHERE m.passage = p.id)
			LIMIT ?3)`, tx.tenant, space, left-places))
	if dropped += places + passages; err != nil || dropped == limit {
		return dropped, err
	}
	spaces, err := removed(tx.ExecContext(ctx, `
		DELETE FROM spaces
		WHERE tenant = ?1 AND id = ?2 AND NOT EXISTS (SELECT 1 FROM passages WHERE tenant = ?1 AND space = ?2)`,
		tx.tenant, space))
	return dropped + spaces, err
}

// removed returns how many rows a statement removed.
func removed(result sql.Result, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	count, err := result.RowsAffected()
	return int(count), err
}

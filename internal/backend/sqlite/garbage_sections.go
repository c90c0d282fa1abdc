package sqlite

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"time"
)

// DeleteUnusedSectionSummaries removes section summaries that no version uses any more. It reads
// the list of what versions that are gone have used, and so costs what they were.
// What was released since an unended summary task was accepted is spared: that
// may be the next version's, which has not come to its sections yet.
func (s *Store) DeleteUnusedSectionSummaries(ctx context.Context, quiet time.Duration, limit int) (looked int, err error) {
	defer wrapError(&err, "drop section summaries")
	err = s.inWriteTransaction(ctx, func(tx transaction) error {
		rows, err := tx.QueryContext(ctx, `
			SELECT node
			FROM released_sections
			WHERE tenant = ?1 AND released_at <= ?2
			  AND released_at < coalesce((
				SELECT min(v.created_at)
				FROM tasks t
				JOIN versions v ON v.tenant = t.tenant AND v.document = t.document AND v.version = t.version
				WHERE t.tenant = ?1 AND t.kind = 'summary' AND t.state IN ('queued', 'running', 'waiting')), 9e18)
			ORDER BY released_at
			LIMIT ?3`, tx.tenant, tx.now.add(-quiet), limit)
		nodes, err := collectRows(rows, err, func(row scanner) (node string, err error) {
			var raw []byte
			err = row.Scan(&raw)
			return hex.EncodeToString(raw), err
		})
		if err != nil || len(nodes) == 0 {
			return err
		}
		looked = len(nodes)
		list, err := json.Marshal(nodes)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `
			DELETE FROM section_summaries
			WHERE tenant = ?1 AND node IN (SELECT unhex(value) FROM json_each(?2))
			  AND NOT EXISTS (SELECT 1 FROM version_sections v WHERE v.tenant = ?1 AND v.node = section_summaries.node)`,
			tx.tenant, string(list)); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			DELETE FROM released_sections WHERE tenant = ?1 AND node IN (SELECT unhex(value) FROM json_each(?2))`,
			tx.tenant, string(list))
		return err
	})
	return looked, err
}

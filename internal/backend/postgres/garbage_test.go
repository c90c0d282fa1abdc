package postgres_test

import (
	"context"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/backend/storetest"
)

// unreferencedRows are rows that nobody refers to, by what they are.
var unreferencedRows = map[string]string{
	"versions": `SELECT count(*) FROM versions v JOIN documents d ON d.id = v.document
		WHERE d.deleted_at IS NOT NULL OR v.version <> d.newest_version AND v.version IS DISTINCT FROM d.published_version`,
	"documents": `SELECT count(*) FROM documents d WHERE deleted_at IS NOT NULL OR NOT EXISTS (SELECT FROM versions v WHERE v.document = d.id)`,
	"spaces":    `SELECT count(*) FROM spaces s WHERE NOT EXISTS (SELECT FROM collections c WHERE c.active_space = s.id)`,
	"passages":  `SELECT count(*) FROM passages p WHERE NOT EXISTS (SELECT FROM manifest m WHERE m.space = p.space AND m.hash = p.hash)`,
	"places": `SELECT count(*) FROM manifest m WHERE NOT EXISTS (SELECT FROM spaces s WHERE s.id = m.space)
		OR NOT EXISTS (SELECT FROM versions v WHERE v.document = m.document AND v.version = m.version)`,
	"sections": `SELECT count(*) FROM section_summaries s WHERE NOT EXISTS (SELECT FROM version_sections v WHERE v.node = s.node)`,
	"lists":    `SELECT (SELECT count(*) FROM garbage) + (SELECT count(*) FROM released_sections) + (SELECT count(*) FROM uploads)`,
}

func TestAllGarbageIsCollected(t *testing.T) {
	t.Parallel()
	var d database
	storetest.CheckAllGarbageIsCollected(t, func(t *testing.T) storetest.Store {
		d = preparedDatabase(t)
		d.migrate(t)
		return d.open(t)
	}, func(t *testing.T) {
		conn := connect(t, d.owner)
		defer conn.Close(context.Background())
		for what, query := range unreferencedRows {
			var n int
			if err := conn.QueryRow(t.Context(), query).Scan(&n); err != nil || n != 0 {
				t.Errorf("%d %s are left over, %v", n, what, err)
			}
		}
	})
}

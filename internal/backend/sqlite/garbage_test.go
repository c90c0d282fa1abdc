package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/backend/storetest"
)

// unreferencedRows are rows that nobody refers to, by what they are.
var unreferencedRows = map[string]string{
	"versions": `SELECT count(*) FROM versions v JOIN documents d ON d.id = v.document
		WHERE d.deleted_at IS NOT NULL OR v.version <> d.newest_version AND v.version IS NOT d.published_version`,
	"documents": `SELECT count(*) FROM documents WHERE deleted_at IS NOT NULL OR NOT EXISTS (SELECT 1 FROM versions v WHERE v.document = documents.id)`,
	"spaces":    `SELECT count(*) FROM spaces s WHERE NOT EXISTS (SELECT 1 FROM collections c WHERE c.active_space = s.id)`,
	"passages":  `SELECT count(*) FROM passages p WHERE NOT EXISTS (SELECT 1 FROM manifest m WHERE m.passage = p.id)`,
	"sections":  `SELECT count(*) FROM section_summaries s WHERE NOT EXISTS (SELECT 1 FROM version_sections v WHERE v.node = s.node)`,
	"lists":     `SELECT (SELECT count(*) FROM garbage) + (SELECT count(*) FROM released_sections) + (SELECT count(*) FROM uploads)`,
}

func TestAllGarbageIsCollected(t *testing.T) {
	t.Parallel()
	var s *Store
	storetest.CheckAllGarbageIsCollected(t, func(t *testing.T) storetest.Store {
		s = open(t, filepath.Join(t.TempDir(), "test.db"))
		return s
	}, func(t *testing.T) {
		for what, query := range unreferencedRows {
			var n int
			if err := s.writer.QueryRowContext(t.Context(), query).Scan(&n); err != nil || n != 0 {
				t.Errorf("%d %s are left over, %v", n, what, err)
			}
		}
	})
}

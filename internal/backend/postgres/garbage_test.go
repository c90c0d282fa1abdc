package postgres_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/backend/storetest"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
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

// drop_partition runs as the owner of the tables. It refuses the active space of a collection, and the
// spaces of other tenants, whoever calls it.
func TestDropPartitionRefusesSpacesInUse(t *testing.T) {
	t.Parallel()
	d, s, ctx, c := withCollection(t, 2)
	execute(t, d.owner, `INSERT INTO spaces (id, tenant, collection, model, dimensions, chunk_tokens, chunk_overlap)
		OVERRIDING SYSTEM VALUE SELECT 1000, tenant, id, 'other', 2, 10, 0 FROM collections`)
	if err := s.InTenant(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "SELECT add_partition(1000)")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	drop := func(ctx context.Context, space int64) error {
		return s.InTenant(ctx, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "SELECT drop_partition($1)", space)
			return err
		})
	}
	exists := func(space int64) bool {
		tables := queryTexts(t, d.owner, fmt.Sprintf("SELECT relname::text FROM pg_class WHERE relname = 'passages_%d'", space))
		return len(tables) > 0
	}
	other := tenant.With(t.Context(), "other")
	if _, err := s.EnsureCollection(other, "c", document.Model{Name: "m", Dimensions: 2}, document.Chunking{Tokens: 10}); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"the active space":            drop(ctx, c.ActiveSpace.ID),
		"a space of another tenant":   drop(other, 1000),
		"a space that does not exist": drop(ctx, 1001),
	} {
		if err == nil || !strings.Contains(err.Error(), "that could be dropped") {
			t.Errorf("%s: got %v, want it refused", what, err)
		}
	}
	if !exists(1000) {
		t.Fatal("the table of the replaced space does not exist")
	}
	if err := drop(ctx, 1000); err != nil || exists(1000) {
		t.Errorf("the table of a replaced space: got %v, want it dropped", err)
	}
}

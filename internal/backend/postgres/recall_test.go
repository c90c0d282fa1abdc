package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/pgvector/pgvector-go"

	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Searches along an index look around as widely as it takes to find the share of
// the nearest that is asked for: little among vectors of few dimensions, much
// among those of many that have nothing in common.
func TestWidthOfSearchesIsMeasured(t *testing.T) {
	t.Parallel()
	easy, found := measureIndex(t, 3, 0.95)
	if easy > 100 || found < 0.95 {
		t.Errorf("3 dimensions: ef_search %d finds %.3f", easy, found)
	}
	hard, found := measureIndex(t, 96, 0.95)
	if hard <= easy || found < 0.88 { // of harder questions than those that were measured, and each index is another
		t.Errorf("96 dimensions: ef_search %d finds %.3f, and %d is enough for 3 dimensions", hard, found, easy)
	}
	if less, found := measureIndex(t, 96, 0.5); less >= hard || found < 0.48 {
		t.Errorf("96 dimensions: ef_search %d finds %.3f of the half that is asked for; %d finds 0.95", less, found, hard)
	}
}

// measureIndex indexes 4,000 random vectors and returns hnsw.ef_search of its
// searches, and the share of the ten nearest that they find.
func measureIndex(t *testing.T, dimensions int, recall float64) (width int, found float64) {
	t.Helper()
	d := preparedDatabase(t)
	d.migrate(t)
	s, err := postgres.Open(t.Context(), postgres.Config{URL: d.app, IndexURL: d.index, Recall: recall, Log: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	ctx := tenant.With(t.Context(), tenant.Default)
	c, err := s.EnsureCollection(ctx, "c", document.Model{Name: "m", Dimensions: dimensions}, document.Chunking{Tokens: 10})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	values := func() []float32 {
		v := make([]float32, dimensions)
		for i := range v {
			v[i] = float32(random.NormFloat64())
		}
		return v
	}
	var texts []string
	for range 4000 {
		texts = append(texts, pgvector.NewHalfVector(values()).String())
	}
	execute(t, d.owner, `INSERT INTO documents (tenant, id, collection, key, state, published_version, newest_version)
		VALUES ('default', gen_random_uuid(), $1, 'k', 'ready', 1, 1)`, c.ID)
	execute(t, d.owner, `INSERT INTO versions (tenant, document, version, title, metadata, object, size, sha256, media_type)
		SELECT 'default', id, 1, 't', '{}', 'o', 1, '', 'text/markdown' FROM documents`)
	execute(t, d.owner, `INSERT INTO manifest (tenant, document, version, space, ordinal, hash, start_byte, end_byte)
		SELECT 'default', (SELECT id FROM documents), 1, $1, n, sha256(n::text::bytea), 0, 1 FROM generate_series(1, 4000) n`, c.ActiveSpace.ID)
	execute(t, d.owner, fmt.Sprintf(`INSERT INTO %s (tenant, space, hash, tokens, embedding, heading_path, context, content)
		SELECT 'default', $1, sha256(n::text::bytea), 1, v::halfvec, '{}', '', n::text FROM unnest($2::text[]) WITH ORDINALITY AS new (v, n)`,
		postgres.PassagesTable(c.ActiveSpace)), c.ActiveSpace.ID, texts)
	if err := s.IndexSpace(ctx, c.ActiveSpace, 1); err != nil {
		t.Fatal(err)
	}
	if err := s.InTenant(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `SELECT ef_search FROM spaces`).Scan(&width)
	}); err != nil {
		t.Fatal(err)
	}
	hits := 0
	const questions = 40
	for range questions {
		query := vector.Query{Vector: values(), Limit: 10, Threshold: -1}
		exact := nearestTexts(t, ctx, s, c.ActiveSpace, query)
		space := c.ActiveSpace
		space.Indexed = true
		for _, text := range nearestTexts(t, ctx, s, space, query) {
			if slices.Contains(exact, text) {
				hits++
			}
		}
	}
	return width, float64(hits) / (10 * questions)
}

func nearestTexts(t *testing.T, ctx context.Context, s *postgres.Store, space vector.Space, query vector.Query) (texts []string) {
	t.Helper()
	hits, err := s.NearestPassages(ctx, space, query)
	if err != nil {
		t.Fatal(err)
	}
	for _, hit := range hits {
		texts = append(texts, hit.Content)
	}
	return texts
}

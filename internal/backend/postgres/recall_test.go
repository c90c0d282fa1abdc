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

// measureIndex indexes 4,000 random vectors and returns hnsw.ef_search of its searches, and the share
// of the ten nearest that they find.
func measureIndex(t *testing.T, dimensions int, recall float64) (width int, found float64) {
	t.Helper()
	r := newRandomStore(t, dimensions, recall)
	if err := r.InTenant(r.ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(r.ctx, `SELECT ef_search FROM spaces`).Scan(&width)
	}); err != nil {
		t.Fatal(err)
	}
	return width, r.found(t, 40, vector.Query{Limit: 10, Threshold: -1})
}

// A walk under a filter takes more hits than it returns, because those that it finds late may be
// nearer. Without the surplus it would find 0.87 of the nearest here, and with it 0.95.
func TestRecallUnderAFilter(t *testing.T) {
	t.Parallel()
	r := newRandomStore(t, 96, 0.3)
	if found := r.found(t, 60, vector.Query{Limit: 10, Threshold: -1, KeyPrefix: "a/"}); found < 0.915 {
		t.Errorf("found %.3f of the nearest under a filter, want 0.915", found)
	}
}

// randomStore has an indexed space of 4,000 passages with random vectors, a third of them in a document
// below a/.
type randomStore struct {
	*postgres.Store
	ctx    context.Context
	space  vector.Space // as a search of all passages takes it, which does not use the index
	vector func() []float32
}

func newRandomStore(t *testing.T, dimensions int, recall float64) *randomStore {
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
	r := &randomStore{Store: s, ctx: ctx, space: c.ActiveSpace, vector: func() []float32 {
		v := make([]float32, dimensions)
		for i := range v {
			v[i] = float32(random.NormFloat64())
		}
		return v
	}}
	var texts []string
	for range 4000 {
		texts = append(texts, pgvector.NewHalfVector(r.vector()).String())
	}
	execute(t, d.owner, `INSERT INTO documents (tenant, id, collection, key, state, published_version, newest_version)
		SELECT 'default', md5(n::text)::uuid, $1, CASE n WHEN 0 THEN 'a/' ELSE 'b/' || n END, 'ready', 1, 1 FROM generate_series(0, 2) n`, c.ID)
	execute(t, d.owner, `INSERT INTO versions (tenant, document, version, title, metadata, object, size, sha256, media_type)
		SELECT 'default', id, 1, 't', '{}', key, 1, '', 'text/markdown' FROM documents`)
	execute(t, d.owner, `INSERT INTO manifest (tenant, document, version, space, ordinal, hash, start_byte, end_byte)
		SELECT 'default', md5((n % 3)::text)::uuid, 1, $1, n, sha256(n::text::bytea), 0, 1 FROM generate_series(1, 4000) n`, c.ActiveSpace.ID)
	execute(t, d.owner, fmt.Sprintf(`INSERT INTO %s (tenant, space, hash, tokens, embedding, heading_path, context, content)
		SELECT 'default', $1, sha256(n::text::bytea), 1, v::halfvec, '{}', '', n::text FROM unnest($2::text[]) WITH ORDINALITY AS new (v, n)`,
		postgres.PassagesTable(c.ActiveSpace)), c.ActiveSpace.ID, texts)
	if err := s.IndexSpace(ctx, c.ActiveSpace, 1); err != nil {
		t.Fatal(err)
	}
	return r
}

// found returns the share of the nearest passages that searches along the index find.
func (r *randomStore) found(t *testing.T, questions int, query vector.Query) float64 {
	t.Helper()
	c, err := r.Collection(r.ctx, "c")
	if err != nil {
		t.Fatal(err)
	}
	if !c.ActiveSpace.Indexed {
		t.Fatal("the space has no index")
	}
	hits := 0
	for range questions {
		query.Vector = r.vector()
		exact := nearestTexts(t, r.ctx, r.Store, r.space, query)
		for _, text := range nearestTexts(t, r.ctx, r.Store, c.ActiveSpace, query) {
			if slices.Contains(exact, text) {
				hits++
			}
		}
	}
	return float64(hits) / float64(query.Limit*questions)
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

package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// largeStore is a store with a collection of so many documents of 100 passages each,
// a/0, b/1, a/2 and so on. Those below a/ and those below b/ lie far apart: near
// to the ones, a walk along the index meets none of the others.
type largeStore struct {
	*postgres.Store
	database
	collection vector.Collection
	random     *rand.Rand
}

const largeStoreDimensions = 8

func newLargeStore(t *testing.T, documents int) (*largeStore, context.Context) {
	t.Helper()
	g := &largeStore{database: preparedDatabase(t), random: rand.New(rand.NewPCG(1, 2))}
	g.migrate(t)
	g.Store = g.open(t)
	ctx := tenant.With(t.Context(), tenant.Default)
	var err error
	if g.collection, err = g.EnsureCollection(ctx, "c", document.Model{Name: "m", Dimensions: largeStoreDimensions}, document.Chunking{Tokens: 10}); err != nil {
		t.Fatal(err)
	}
	for i := range documents {
		g.add(t, ctx, fmt.Sprintf("%c/%d", 'a'+i%2, i))
	}
	return g, ctx
}

// vector returns one among those of the documents below a/ or b/.
func (g *largeStore) vector(below byte) []float32 {
	vector := make([]float32, largeStoreDimensions)
	for i := range vector {
		vector[i] = float32(g.random.NormFloat64())
	}
	vector[0] += map[byte]float32{'a': 4, 'b': -4}[below]
	return vector
}

// add publishes one more document of 100 passages.
func (g *largeStore) add(t *testing.T, ctx context.Context, key string) {
	t.Helper()
	accepted, err := upload(ctx, g.Store, original.Upload{Collection: g.collection, Key: key, Metadata: []byte(`{"key":"` + key + `"}`)})
	if err != nil {
		t.Fatal(err)
	}
	work, err := g.Claim(ctx, task.Ref{DocumentID: accepted.Document.ID, Version: 1, Kind: task.KindKnowledge}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	var batch vector.Batch
	for i := range 100 {
		p := vector.EmbeddedPassage{PassageText: document.PassageText{Content: fmt.Sprintf("passage %d of %s", i, key)}, Vector: g.vector(key[0])}
		p.Hash = document.HashText(p.Content)
		batch.New = append(batch.New, p)
		batch.Entries = append(batch.Entries, vector.ManifestEntry{Hash: p.Hash, Ordinal: i})
	}
	progress := document.KnowledgeProgress{Passages: 100}
	if err := g.WriteBatch(ctx, work, batch, progress); err != nil {
		t.Fatal(err)
	}
	if err := g.Publish(ctx, work, nil, progress); err != nil {
		t.Fatal(err)
	}
}

// space returns the collection's live space as it is now.
func (g *largeStore) space(t *testing.T, ctx context.Context) vector.Space {
	t.Helper()
	c, err := g.Collection(ctx, g.collection.Name)
	if err != nil {
		t.Fatal(err)
	}
	return c.ActiveSpace
}

// hits returns the texts of what a search finds.
func (g *largeStore) hits(t *testing.T, ctx context.Context, space vector.Space, query vector.Query) []string {
	t.Helper()
	query.Threshold = -1
	hits, err := g.NearestPassages(ctx, space, query)
	if err != nil {
		t.Fatal(err)
	}
	texts := make([]string, len(hits))
	for i, hit := range hits {
		texts[i] = hit.Content
	}
	return texts
}

func TestIndexFindsWhatExactSearchFinds(t *testing.T) {
	t.Parallel()
	g, ctx := newLargeStore(t, 104) // so that half of the passages are too many to be compared one by one
	if err := g.DeleteDocument(ctx, g.document(t, ctx, "b/7")); err != nil {
		t.Fatal(err)
	}
	exact := g.space(t, ctx)
	if err := g.IndexSpace(ctx, exact, 5000); err != nil {
		t.Fatal(err)
	}
	indexed := g.space(t, ctx)
	if !indexed.Indexed {
		t.Fatal("the space has no index")
	}
	for _, filter := range []vector.Query{{}, {KeyPrefix: "a/"}, {KeyPrefix: "b/1"}, {Metadata: []byte(`{"key":"b/5"}`)}, {KeyPrefix: "b/7"}, {KeyPrefix: "none"}} {
		found, wanted := 0, 0
		for i := range 50 {
			query := filter
			query.Vector, query.Limit = g.vector("ab"[i%2]), 10
			want := g.hits(t, ctx, exact, query)
			got := g.hits(t, ctx, indexed, query)
			if len(got) != len(want) {
				t.Fatalf("filter %q %s: %d hits, exactly %d", filter.KeyPrefix, filter.Metadata, len(got), len(want))
			}
			wanted += len(want)
			for _, text := range want {
				if slices.Contains(got, text) {
					found++
				}
			}
		}
		if float64(found) < 0.95*float64(wanted) { // what searches are measured to find
			t.Errorf("filter %q %s: %d of %d hits of the exact search", filter.KeyPrefix, filter.Metadata, found, wanted)
		}
	}
}

func TestIndexIsUsed(t *testing.T) {
	t.Parallel()
	g, ctx := newLargeStore(t, 3)
	if err := g.IndexSpace(ctx, g.space(t, ctx), 1); err != nil {
		t.Fatal(err)
	}
	text := g.explain(t, ctx)
	if !strings.Contains(text, fmt.Sprintf("Index Scan using passages_%d_embedding", g.collection.ActiveSpace.ID)) {
		t.Errorf("the plan does not use the index:\n%s", text)
	}
}

// explain returns the plan of a search.
func (g *largeStore) explain(t *testing.T, ctx context.Context) string {
	t.Helper()
	var lines []string
	if err := g.InTenant(ctx, func(tx pgx.Tx) (err error) {
		lines, err = postgres.ExplainNearest(ctx, tx, g.space(t, ctx), vector.Query{Vector: g.vector('a'), Limit: 10, Threshold: -1})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

func TestSpacesBelowTheThresholdAreNotIndexed(t *testing.T) {
	t.Parallel()
	g, ctx := newLargeStore(t, 2)
	grown := func(care vector.Maintenance, threshold, want int) {
		t.Helper()
		listed, err := g.GrownSpaces(ctx, care, threshold)
		if err != nil || len(listed) != want {
			t.Errorf("threshold %d: %d listed spaces want to be cared for: %s, %v; want %d", threshold, len(listed), care, err, want)
		}
		spaces, last, err := g.GrownSpacesAfter(ctx, care, threshold, 0, 100)
		if err != nil || len(spaces) != want || last != 0 {
			t.Errorf("threshold %d: %d spaces want to be cared for: %s, %v; want %d", threshold, len(spaces), care, err, want)
		}
	}
	grown(vector.MaintenanceIndex, 1, 0) // not while it stands in the shared table
	grown(vector.MaintenanceMove, 200, 1)
	grown(vector.MaintenanceMove, 200, 1) // as long as it does
	if err := g.MoveSpaceToOwnTable(ctx, g.space(t, ctx)); err != nil {
		t.Fatal(err)
	}
	grown(vector.MaintenanceMove, 200, 0)
	grown(vector.MaintenanceIndex, 200, 1)
	grown(vector.MaintenanceIndex, 201, 0)
	if n := countRows(t, ctx, g.Store, "grown_spaces"); n != 0 {
		t.Errorf("%d entries are left of a space that wants nothing", n)
	}
	g.add(t, ctx, "a/3")
	grown(vector.MaintenanceIndex, 300, 1)
	if err := g.IndexSpace(ctx, g.space(t, ctx), 301); err != nil || g.space(t, ctx).Indexed {
		t.Errorf("300 passages of 301 were indexed (%v)", err)
	}
	if err := g.IndexSpace(ctx, g.space(t, ctx), 300); err != nil || !g.space(t, ctx).Indexed {
		t.Errorf("300 passages of 300 were not indexed (%v)", err)
	}
	grown(vector.MaintenanceIndex, 1, 0)
}

func TestIndexIsBuiltOnceByManyAndAfterABrokenBuild(t *testing.T) {
	t.Parallel()
	g, ctx := newLargeStore(t, 2)
	space := g.space(t, ctx)
	if err := g.MoveSpaceToOwnTable(ctx, space); err != nil {
		t.Fatal(err)
	}
	// What CREATE INDEX CONCURRENTLY leaves when it is cut short.
	name := fmt.Sprintf("passages_%d_embedding", space.ID)
	execute(t, g.owner, fmt.Sprintf(`CREATE INDEX %s ON passages_%d USING hnsw ((embedding::halfvec(%d)) halfvec_cosine_ops)`, name, space.ID, largeStoreDimensions))
	execute(t, g.owner, `UPDATE pg_index SET indisvalid = false WHERE indexrelid = $1::regclass`, name)

	var builders sync.WaitGroup
	for range 3 {
		builders.Go(func() {
			if err := g.IndexSpace(ctx, space, 1); err != nil {
				t.Error(err)
			}
		})
	}
	builders.Wait()
	conn := connect(t, g.owner)
	defer conn.Close(context.Background())
	var valid bool
	if err := conn.QueryRow(ctx, `SELECT bool_and(indisvalid) FROM pg_index WHERE indrelid = $1::regclass`,
		fmt.Sprintf("passages_%d", space.ID)).Scan(&valid); err != nil || !valid {
		t.Errorf("the index is not valid (%v)", err)
	}
}

// document returns the id of the document under a key.
func (g *largeStore) document(t *testing.T, ctx context.Context, key string) uuid.UUID {
	t.Helper()
	list, err := g.Documents(ctx, document.DocumentFilter{KeyPrefix: key}, document.Page{Limit: 1})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("no document %s (%v)", key, err)
	}
	return list.Items[0].ID
}

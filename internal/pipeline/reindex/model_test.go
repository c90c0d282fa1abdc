package reindex_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/embedding/embeddingtest"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/pipeline/reindex"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/chunk"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// fakeModel counts how often each text is sent to it.
type fakeModel struct {
	mu       sync.Mutex
	name     string
	sent     map[string]int
	requests int

	respond func(ctx context.Context, texts []string) error // returns the error of a request
}

func (m *fakeModel) Embed(ctx context.Context, is document.Model, texts []string) ([][]float32, error) {
	m.mu.Lock()
	m.requests++
	for _, text := range texts {
		m.sent[text]++
	}
	m.mu.Unlock()
	if is.Name != m.name {
		return nil, fault.New(fault.BadRequest, "no model %s", is.Name)
	}
	if m.respond != nil {
		if err := m.respond(ctx, texts); err != nil {
			return nil, err
		}
	}
	vectors := make([][]float32, len(texts))
	for i := range texts {
		vectors[i] = make([]float32, is.Dimensions)
	}
	return vectors, nil
}

// resent returns how many more texts were sent than there are different ones.
func (m *fakeModel) resent() (n int) {
	for _, times := range m.sent {
		n += times - 1
	}
	return n
}

const (
	soak               = 3 * time.Hour
	batch              = 4
	requests           = 3
	writeBatchPassages = batch * requests
)

// newStep returns a step on the database. change adapts its configuration.
func newStep(t *testing.T, db *fakeDatabase, change ...func(*reindex.StepConfig)) (*reindex.Step, *fakeModel) {
	t.Helper()
	m := &fakeModel{name: db.to.Model.Name, sent: map[string]int{}}
	config := reindex.StepConfig{
		Store: db, Objects: db, Embedder: m, Process: embeddingtest.NewProcessState(t, embeddingtest.NopLocks{}), Changes: db, Dispatcher: db,
		Metrics: telemetry.NewMetrics(), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		BatchPassages: batch, BatchTokens: 1 << 20, ParallelRequests: requests, IndexThreshold: 7, Soak: soak,
	}
	for _, c := range change {
		c(&config)
	}
	step, err := reindex.NewStep(config)
	if err != nil {
		t.Fatal(err)
	}
	return step, m
}

var (
	newModel    = document.Model{Name: "new", Dimensions: 3}
	oldModel    = document.Model{Name: "old", Dimensions: 2}
	oldChunking = document.Chunking{Tokens: 32}
	newChunking = document.Chunking{Tokens: 16}
)

// newFilledDatabase returns a database with n documents in its active space, of three to seven passages
// each, some of them shared.
func newFilledDatabase(to document.Model, chunking document.Chunking, n int) *fakeDatabase {
	db := newFakeDatabase(to, chunking)
	for i := range n {
		db.upload(uuid.New(), sampleDocument(fmt.Sprint("own", i), 1+i%5)+sampleDocument(fmt.Sprint("shared", i%3), 2), db.from)
	}
	return db
}

// sampleDocument returns a text of n different sections. A section is one passage of 32 tokens, or
// several of 16.
func sampleDocument(name string, n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "# %s %d\n\nSection %d tells of wheat, rye and oats, and how they are ground.\n\n", name, i, i)
	}
	return text.String()
}

// wantBuilt checks that the new space is active and complete.
func wantBuilt(t *testing.T, db *fakeDatabase) {
	t.Helper()
	if db.active != db.to.ID || db.reindex.Stage != document.StageDone {
		t.Fatalf("space %d is active in stage %s, want space %d in stage %s", db.active, db.reindex.Stage, db.to.ID, document.StageDone)
	}
	built := db.spaces[db.to.ID]
	for id, d := range db.documents {
		text, entries := db.objects[d.Object], built.entries[versionOf(d)]
		var want []vector.ManifestEntry
		for p, err := range chunk.Split(strings.NewReader(text), chunk.Options{Tokens: db.to.Chunking.Tokens}) {
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, vector.ManifestEntry{Hash: p.ContentHash(), Ordinal: p.Ordinal, Start: p.Start, End: p.End})
			if got := built.passages[want[len(want)-1].Hash]; got.Content != p.Content {
				t.Errorf("document %s, passage %d: %q, want %q", id, p.Ordinal, got.Content, p.Content)
			}
		}
		if diff := cmp.Diff(want, entries); diff != "" {
			t.Errorf("entries of document %s (-want +got):\n%s", id, diff)
		}
	}
}

package knowledge_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/embedding"
	"github.com/seed-7a112592/gristmill/internal/embedding/embeddingtest"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/pipeline/knowledge"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// fakeBackend is an object store and a database with one collection.
type fakeBackend struct {
	mu        sync.Mutex
	objects   map[string]string
	*space    // the active space
	others    map[int64]*space
	published map[uuid.UUID]document.KnowledgeProgress
	also      map[uuid.UUID][]vector.SpaceVersion
	warnings  map[uuid.UUID][]document.Warning
	writes    int

	deletePassages    func(vector.Batch) bool                   // whether all passages are deleted just before a write
	publishedInOne    int                                       // number of versions that WriteAndPublish has published
	publishSeparately bool                                      // WriteAndPublish does nothing
	lookedUp          func()                                    // called when ReusePassages has its result
	writeErr          func(space int64) error                   // error of a write to a space
	open              func(io.ReadSeekCloser) io.ReadSeekCloser // replaces an object that is opened
}

// space is the content of a space.
type space struct {
	model    document.Model
	passages map[document.ContentHash]vector.EmbeddedPassage
	entries  map[uuid.UUID][]vector.ManifestEntry
}

// spaceOf returns the content of a space. Callers hold the lock.
func (m *fakeBackend) spaceOf(is vector.Space) *space {
	if is.ID == 0 {
		m.model = is.Model
		return m.space
	}
	if m.others[is.ID] == nil {
		m.others[is.ID] = &space{is.Model, map[document.ContentHash]vector.EmbeddedPassage{}, map[uuid.UUID][]vector.ManifestEntry{}}
	}
	return m.others[is.ID]
}

type objectReader struct{ *strings.Reader }

func (objectReader) Close() error { return nil }

func (m *fakeBackend) Open(_ context.Context, name string) (io.ReadSeekCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	object := io.ReadSeekCloser(objectReader{strings.NewReader(m.objects[name])})
	if m.open != nil {
		object = m.open(object)
	}
	return object, nil
}

func (m *fakeBackend) ReusePassages(_ context.Context, in vector.Space, hashes []document.ContentHash) (map[document.ContentHash]int, error) {
	known := func() map[document.ContentHash]int {
		known := map[document.ContentHash]int{}
		m.mu.Lock()
		defer m.mu.Unlock()
		here := m.spaceOf(in)
		for _, hash := range hashes {
			for _, other := range append(slices.Collect(maps.Values(m.others)), m.space) {
				if p, ok := other.passages[hash]; ok && other.model == here.model {
					here.passages[hash] = p
				}
			}
			if p, ok := here.passages[hash]; ok {
				known[hash] = p.EmbeddedBytes
			}
		}
		return known
	}()
	if m.lookedUp != nil {
		m.lookedUp()
	}
	return known, nil
}

func (m *fakeBackend) WriteBatch(_ context.Context, work task.Work, batch vector.Batch, _ document.KnowledgeProgress) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.writeErr != nil {
		if err := m.writeErr(work.Space.ID); err != nil {
			return err
		}
	}
	here := m.spaceOf(work.Space)
	if m.deletePassages != nil && m.deletePassages(batch) {
		clear(here.passages)
	}
	fresh := map[document.ContentHash]bool{}
	for _, p := range batch.New {
		fresh[p.Hash] = true
		if len(p.Vector) != work.Space.Model.Dimensions {
			return errors.New("a vector has other dimensions than its space")
		}
	}
	for _, entry := range batch.Entries {
		if _, ok := here.passages[entry.Hash]; !ok && !fresh[entry.Hash] {
			return fault.New(fault.Conflict, "the passage of an entry is missing")
		}
	}
	m.writes++
	for _, p := range batch.New {
		here.passages[p.Hash] = p
	}
	here.entries[work.DocumentID] = append(here.entries[work.DocumentID], batch.Entries...)
	return nil
}

func (m *fakeBackend) Publish(_ context.Context, work task.Work, also []vector.SpaceVersion, progress document.KnowledgeProgress, warnings ...document.Warning) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if int64(len(m.entries[work.DocumentID])) != progress.Passages {
		return fmt.Errorf("%d entries, %d passages", len(m.entries[work.DocumentID]), progress.Passages)
	}
	for _, spaceVersion := range also {
		if n := len(m.others[spaceVersion.SpaceID].entries[work.DocumentID]); int64(n) != spaceVersion.Passages {
			return fmt.Errorf("%d entries in space %d, %d passages", n, spaceVersion.SpaceID, spaceVersion.Passages)
		}
	}
	m.published[work.DocumentID], m.also[work.DocumentID], m.warnings[work.DocumentID] = progress, also, warnings
	return nil
}

func (m *fakeBackend) WriteAndPublish(ctx context.Context, work task.Work, batch vector.Batch, progress document.KnowledgeProgress, warnings ...document.Warning) (bool, error) {
	if m.publishSeparately {
		return false, nil
	}
	if err := m.WriteBatch(ctx, work, batch, progress); err != nil {
		return false, err
	}
	m.publishedInOne++
	return true, m.Publish(ctx, work, nil, progress, warnings...)
}

func (m *fakeBackend) ReportProgress(context.Context, task.Work, any) {}

// fakeLocks are the in-flight locks as one of several processes sees them.
type fakeLocks struct {
	mu   *sync.Mutex
	held map[string]heldLock
	me   int
}

type heldLock struct {
	holder int
	until  time.Time
}

func (s fakeLocks) AcquireLocks(_ context.Context, names []string) (acquired []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		if lock := s.held[name]; lock.holder == s.me || lock.until.Before(time.Now()) {
			s.held[name] = heldLock{s.me, time.Now().Add(15 * time.Second)}
			acquired = append(acquired, name)
		}
	}
	return acquired
}

func (s fakeLocks) ReleaseLocks(_ context.Context, names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		if s.held[name].holder == s.me {
			delete(s.held, name)
		}
	}
}

// fakeEmbedder counts how often each text was sent.
type fakeEmbedder struct {
	mu   sync.Mutex
	sent map[string]int

	call func(ctx context.Context, model document.Model, texts []string) error // returns the error of a request
}

func (e *fakeEmbedder) Embed(ctx context.Context, model document.Model, texts []string) ([][]float32, error) {
	if e.call != nil {
		if err := e.call(ctx, model, texts); err != nil {
			return nil, err
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	vectors := make([][]float32, len(texts))
	for i, text := range texts {
		e.sent[text]++
		vectors[i] = make([]float32, model.Dimensions)
		vectors[i][0] = 1
	}
	return vectors, nil
}

func (e *fakeEmbedder) sentTwice() []string {
	var texts []string
	for text, n := range e.sent {
		if n > 1 {
			texts = append(texts, text)
		}
	}
	return texts
}

// PrepareSpace gives the work the space of the model and chunking.
func (m *fakeBackend) PrepareSpace(_ context.Context, work task.Work, model document.Model, chunking document.Chunking) (task.Work, error) {
	work.Space.Model, work.Space.Chunking, work.SpaceReplaceable = model, chunking, false
	return work, nil
}

// newStep returns a step on fakes of its own. change adapts its configuration.
func newStep(t *testing.T, change ...func(*knowledge.Config)) (*knowledge.Step, *fakeBackend, *fakeEmbedder) {
	t.Helper()
	m := &fakeBackend{
		objects:   map[string]string{},
		space:     &space{passages: map[document.ContentHash]vector.EmbeddedPassage{}, entries: map[uuid.UUID][]vector.ManifestEntry{}},
		others:    map[int64]*space{},
		published: map[uuid.UUID]document.KnowledgeProgress{},
		also:      map[uuid.UUID][]vector.SpaceVersion{},
		warnings:  map[uuid.UUID][]document.Warning{},
	}
	e := &fakeEmbedder{sent: map[string]int{}}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	defaults, err := embedding.NewConfiguredModel(embedding.ConfiguredModelConfig{
		Embedder: e, Setting: document.Model{Name: "m", Dimensions: 4}, Chunking: document.Chunking{Tokens: 32}, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	config := knowledge.Config{
		Objects: m, Store: m, Embedder: e, Progress: m, Process: embeddingtest.NewProcessState(t, embeddingtest.NopLocks{}),
		Metrics: telemetry.NewMetrics(), Log: log, Defaults: defaults, BatchPassages: 4, BatchTokens: 1 << 20, ParallelBatches: 3,
	}
	for _, c := range change {
		c(&config)
	}
	return mustStep(t, config), m, e
}

func mustStep(t *testing.T, config knowledge.Config) *knowledge.Step {
	t.Helper()
	step, err := knowledge.NewStep(config)
	if err != nil {
		t.Fatal(err)
	}
	return step
}

// addObject stores a text and returns the work that makes it searchable.
func (m *fakeBackend) addObject(text string) task.Work {
	id := uuid.New()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.objects[id.String()] = text
	return task.Work{
		Ref: task.Ref{Tenant: "default", DocumentID: id, Version: 1, Kind: task.KindKnowledge},
		Key: "k.md", Object: id.String(), Size: int64(len(text)), SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(text))),
		Space: vector.Space{Model: document.Model{Name: "m", Dimensions: 4}, Chunking: document.Chunking{Tokens: 32}},
	}
}

// sampleDocument returns a text of n sections that are all different.
func sampleDocument(name string, n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "# %s %d\n\nSection %d of %s tells of wheat, rye and oats, and how they are ground.\n\n", name, i, i, name)
	}
	return text.String()
}

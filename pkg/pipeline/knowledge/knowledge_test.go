package knowledge_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/pipeline/knowledge"
	"github.com/seed-7a112592/gristmill/pkg/telemetry"
)

// memory is an object store and a database with one space.
type memory struct {
	mu        sync.Mutex
	objects   map[string]string
	passages  map[document.Hash]document.Embedded
	places    map[uuid.UUID][]document.Place
	published map[uuid.UUID]document.KnowledgeProgress
	writes    int

	vanish func(document.Batch) bool // drops reused passages just before a write
	looked func()                    // called when a look-up has its answer
}

type reader struct{ *strings.Reader }

func (reader) Close() error { return nil }

func (m *memory) Open(_ context.Context, name string) (io.ReadSeekCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return reader{strings.NewReader(m.objects[name])}, nil
}

func (m *memory) Known(_ context.Context, _ document.Space, hashes []document.Hash) ([]document.Hash, error) {
	known := func() (known []document.Hash) {
		m.mu.Lock()
		defer m.mu.Unlock()
		for _, hash := range hashes {
			if _, ok := m.passages[hash]; ok {
				known = append(known, hash)
			}
		}
		return known
	}()
	if m.looked != nil {
		m.looked()
	}
	return known, nil
}

func (m *memory) Write(_ context.Context, work document.Work, batch document.Batch, _ document.KnowledgeProgress) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.vanish != nil && m.vanish(batch) {
		clear(m.passages)
	}
	fresh := map[document.Hash]bool{}
	for _, p := range batch.New {
		fresh[p.Hash] = true
	}
	for _, place := range batch.Places {
		if _, ok := m.passages[place.Hash]; !ok && !fresh[place.Hash] {
			return fault.New(fault.Conflict, "passage is gone")
		}
	}
	m.writes++
	for _, p := range batch.New {
		m.passages[p.Hash] = p
	}
	m.places[work.Document] = append(m.places[work.Document], batch.Places...)
	return nil
}

func (m *memory) Publish(_ context.Context, work document.Work, progress document.KnowledgeProgress) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if int64(len(m.places[work.Document])) != progress.Passages {
		return fmt.Errorf("%d places, %d passages", len(m.places[work.Document]), progress.Passages)
	}
	m.published[work.Document] = progress
	return nil
}

func (m *memory) Report(context.Context, document.Work, any) {}

// alone are the claims of a process without others.
type alone struct{}

func (alone) Claim(_ context.Context, names []string) []string { return names }
func (alone) Release(context.Context, []string)                {}

// shared are the claims of one of several processes.
type shared struct {
	mu   *sync.Mutex
	held map[string]held
	me   int
}

type held struct {
	holder int
	until  time.Time
}

func (s shared) Claim(_ context.Context, names []string) (ours []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		if is := s.held[name]; is.holder == s.me || is.until.Before(time.Now()) {
			s.held[name] = held{s.me, time.Now().Add(15 * time.Second)}
			ours = append(ours, name)
		}
	}
	return ours
}

func (s shared) Release(_ context.Context, names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		if s.held[name].holder == s.me {
			delete(s.held, name)
		}
	}
}

// embedder counts how often each text was sent.
type embedder struct {
	mu   sync.Mutex
	sent map[string]int
	call func(ctx context.Context, texts []string) error
}

func (e *embedder) Embed(ctx context.Context, model document.Model, texts []string) ([][]float32, error) {
	if e.call != nil {
		if err := e.call(ctx, texts); err != nil {
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

func (e *embedder) twice() []string {
	var texts []string
	for text, n := range e.sent {
		if n > 1 {
			texts = append(texts, text)
		}
	}
	return texts
}

func newStep(t *testing.T) (*knowledge.Step, *memory, *embedder) {
	t.Helper()
	m := &memory{
		objects:   map[string]string{},
		passages:  map[document.Hash]document.Embedded{},
		places:    map[uuid.UUID][]document.Place{},
		published: map[uuid.UUID]document.KnowledgeProgress{},
	}
	e := &embedder{sent: map[string]int{}}
	return &knowledge.Step{
		Objects: m, Store: m, Embedder: e, Live: m, Claims: alone{},
		Metrics:       telemetry.NewMetrics(),
		Log:           slog.New(slog.NewTextHandler(t.Output(), nil)),
		BatchPassages: 4, BatchTokens: 1 << 20, Batches: 3,
	}, m, e
}

// put stores a text and returns the work that makes it searchable.
func (m *memory) put(text string) document.Work {
	id := uuid.New()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.objects[id.String()] = text
	return document.Work{
		TaskRef: document.TaskRef{Tenant: "default", Document: id, Version: 1, Kind: document.Knowledge},
		Key:     "k.md", Object: id.String(), Size: int64(len(text)),
		Space: document.Space{Model: document.Model{Name: "m", Dimensions: 4}, Chunking: document.Chunking{Tokens: 32}},
	}
}

// book returns a text of n sections that are all different.
func book(name string, n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "# %s %d\n\nSection %d of %s tells of wheat, rye and oats, and how they are ground.\n\n", name, i, i, name)
	}
	return text.String()
}

func TestRunPlacesEveryPassage(t *testing.T) {
	t.Parallel()
	step, m, e := newStep(t)
	text := book("grain", 50)
	work := m.put(text)
	if err := step.Run(t.Context(), work); err != nil {
		t.Fatal(err)
	}
	places := m.places[work.Document]
	slices.SortFunc(places, func(a, b document.Place) int { return a.Ordinal - b.Ordinal })
	end := int64(0)
	for i, place := range places {
		if place.Ordinal != i || place.Start < end {
			t.Fatalf("place %d is %+v after byte %d", i, place, end)
		}
		if gap := text[end:place.Start]; strings.ContainsFunc(gap, func(r rune) bool { return !unicode.IsSpace(r) }) {
			t.Errorf("nothing covers %q", gap)
		}
		if got := m.passages[place.Hash].Content; got != text[place.Start:place.End] {
			t.Errorf("passage %d is %q, its source %q", i, got, text[place.Start:place.End])
		}
		end = place.End
	}
	if got := m.published[work.Document]; got.Passages != int64(len(places)) || got.Embedded != got.Passages ||
		got.BytesDone != work.Size || got.BytesTotal != work.Size || got.Stage != "done" {
		t.Errorf("published %+v with %d places of %d bytes", got, len(places), work.Size)
	}
	if len(e.twice()) > 0 {
		t.Errorf("embedded twice: %q", e.twice())
	}
}

func TestRunReusesWhatIsKnown(t *testing.T) {
	t.Parallel()
	step, m, e := newStep(t)
	text := book("grain", 20)
	if err := step.Run(t.Context(), m.put(text)); err != nil {
		t.Fatal(err)
	}
	before := len(e.sent)
	edited := m.put(strings.Replace(text, "Section 7 of grain tells of wheat", "Section 7 of grain tells of millet", 1))
	if err := step.Run(t.Context(), edited); err != nil {
		t.Fatal(err)
	}
	if got := len(e.sent) - before; got != 1 || len(e.twice()) > 0 {
		t.Errorf("editing one section sent %d new texts and again %q; want 1 and none", got, e.twice())
	}
	if got := m.published[edited.Document]; got.Embedded != 1 || got.Reused != got.Passages-1 {
		t.Errorf("progress = %+v", got)
	}
}

// Many documents with the same passages at the same time: each is bought once.
func TestConcurrentDocumentsShareTheirPassages(t *testing.T) {
	t.Parallel()
	step, m, e := newStep(t)
	entered, proceed := make(chan struct{}, 1000), make(chan struct{})
	e.call = func(ctx context.Context, _ []string) error {
		entered <- struct{}{}
		select {
		case <-proceed:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	shared := book("shared", 12)
	var wg sync.WaitGroup
	for i := range 8 {
		work := m.put(shared + book(fmt.Sprint("own", i), 3))
		wg.Go(func() {
			if err := step.Run(t.Context(), work); err != nil {
				t.Error(err)
			}
		})
	}
	<-entered // somebody holds claims, and the others must wait for them
	close(proceed)
	wg.Wait()
	if len(e.twice()) > 0 {
		t.Errorf("bought twice: %q", e.twice())
	}
	if len(m.published) != 8 {
		t.Errorf("%d of 8 documents published", len(m.published))
	}
}

// The same in several processes, which share nothing but the store and claims,
// while the provider takes longer than an unattended claim lasts.
func TestProcessesShareTheirPassages(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first, m, e := newStep(t)
		e.call = func(context.Context, []string) error { time.Sleep(50 * time.Second); return nil } // on the bubble's clock
		claims := shared{mu: &sync.Mutex{}, held: map[string]held{}}
		text := book("shared", 12)
		var wg sync.WaitGroup
		for process := range 4 {
			step := &knowledge.Step{
				Objects: m, Store: m, Embedder: e, Live: m, Metrics: first.Metrics, Log: first.Log,
				BatchPassages: 3 + process, BatchTokens: 1 << 20, Batches: 3,
			}
			claims.me = process + 1
			step.Claims = claims
			for i := range 3 {
				work := m.put(text + book(fmt.Sprint("own", process, i), 3))
				wg.Go(func() {
					if err := step.Run(t.Context(), work); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		if len(e.twice()) > 0 || len(m.published) != 12 {
			t.Errorf("%d of 12 documents published; bought twice: %q", len(m.published), e.twice())
		}
		if len(claims.held) > 0 {
			t.Errorf("claims were kept: %v", claims.held)
		}
	})
}

// A document that looked a passage up while another was embedding it must not
// go by that answer once the other is done.
func TestAnswerOfALookUpDoesNotOutliveTheClaim(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		step, m, e := newStep(t)
		text := book("shared", 3)
		one, two := m.put(text), m.put(text)
		embedding, answer := make(chan struct{}), make(chan struct{})
		e.call = func(context.Context, []string) error { <-embedding; return nil }
		go func() {
			if err := step.Run(t.Context(), one); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait() // the first is embedding
		m.looked = func() { <-answer }
		go func() {
			if err := step.Run(t.Context(), two); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait() // the second has looked, or waits for the first
		close(embedding)
		synctest.Wait() // the first is done
		close(answer)
		synctest.Wait()
		if len(e.twice()) > 0 || len(m.published) != 2 {
			t.Errorf("%d documents published; bought twice: %q", len(m.published), e.twice())
		}
	})
}

// The one who was embedding fails: whoever waited for it takes over.
func TestWaitingBatchTakesOverFromOneThatFailed(t *testing.T) {
	t.Parallel()
	step, m, e := newStep(t)
	step.BatchPassages = 100
	held, fail := make(chan struct{}), make(chan struct{})
	first := sync.OnceFunc(func() { close(held) })
	failures := make(chan error, 1)
	failures <- errors.New("provider went away")
	e.call = func(context.Context, []string) error {
		select {
		case err := <-failures:
			first()
			<-fail
			return err
		default:
			return nil
		}
	}
	text := book("shared", 3)
	one, two := m.put(text), m.put(text)
	results := make(chan error, 2)
	go func() { results <- step.Run(t.Context(), one) }()
	<-held
	go func() { results <- step.Run(t.Context(), two) }()
	close(fail)
	failed := 0
	for range 2 {
		if err := <-results; err != nil {
			failed++
		}
	}
	if failed != 1 || len(m.published) != 1 {
		t.Errorf("%d runs failed and %d documents were published; want 1 and 1", failed, len(m.published))
	}
}

func TestFailureKeepsWhatWasPaidFor(t *testing.T) {
	t.Parallel()
	step, m, e := newStep(t)
	step.Batches = 1
	work := m.put(book("grain", 40))
	calls := 0
	e.call = func(context.Context, []string) error {
		if calls++; calls == 4 {
			return fault.New(fault.Unavailable, "provider is down")
		}
		return nil
	}
	if err := step.Run(t.Context(), work); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("error %v, want unavailable", err)
	}
	if len(m.published) != 0 {
		t.Error("a document that is not whole was published")
	}
	m.places = map[uuid.UUID][]document.Place{} // as Claim does for the next attempt
	if err := step.Run(t.Context(), work); err != nil {
		t.Fatal(err)
	}
	if len(e.twice()) > 0 {
		t.Errorf("the second attempt sent again: %q", e.twice())
	}
}

// What others have asked of the model when one batch fails is paid for.
func TestFailureLetsBatchesInFlightFinish(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		step, m, e := newStep(t)
		work := m.put(book("grain", 40))
		var calls atomic.Int32
		e.call = func(ctx context.Context, _ []string) error {
			if calls.Add(1) == 2 {
				return fault.New(fault.RateLimited, "slow down")
			}
			time.Sleep(time.Second) // on the bubble's clock
			return ctx.Err()
		}
		if err := step.Run(t.Context(), work); !fault.Is(err, fault.RateLimited) {
			t.Fatalf("error %v, want rate limited", err)
		}
		if n := int(calls.Load()); n > step.Batches+1 || m.writes != n-1 {
			t.Errorf("%d batches were begun and %d written; want no new ones, and all but the one that failed written", n, m.writes)
		}
	})
}

func TestPassageThatVanishesIsMadeAgain(t *testing.T) {
	t.Parallel()
	step, m, e := newStep(t)
	step.BatchPassages = 100
	text := book("grain", 10)
	if err := step.Run(t.Context(), m.put(text)); err != nil {
		t.Fatal(err)
	}
	once := true
	m.vanish = func(batch document.Batch) bool {
		now := once && len(batch.Places) > 0
		once = once && !now
		return now
	}
	work := m.put(text + book("fresh", 3))
	if err := step.Run(t.Context(), work); err != nil {
		t.Fatal(err)
	}
	if once {
		t.Fatal("nothing vanished")
	}
	for text, n := range e.sent {
		if strings.Contains(text, "fresh") && n != 1 {
			t.Errorf("what was paid for when another passage vanished was sent %d times: %q", n, text)
		}
	}
	for _, place := range m.places[work.Document] {
		if _, ok := m.passages[place.Hash]; !ok {
			t.Errorf("place %d has no passage", place.Ordinal)
		}
	}
}

func TestDocumentOfFrontMatterAloneIsPublished(t *testing.T) {
	t.Parallel()
	step, m, e := newStep(t)
	work := m.put("---\ntitle: Nothing else\n---\n")
	if err := step.Run(t.Context(), work); err != nil {
		t.Fatal(err)
	}
	if got, ok := m.published[work.Document]; !ok || got.Passages != 0 || len(e.sent) != 0 {
		t.Errorf("published %+v, %v; sent %v", got, ok, slices.Collect(maps.Keys(e.sent)))
	}
}

func TestReadErrorEndsTheRun(t *testing.T) {
	t.Parallel()
	step, m, _ := newStep(t)
	work := m.put("text")
	step.Objects = brokenObjects{}
	if err := step.Run(t.Context(), work); !fault.Is(err, fault.Unavailable) {
		t.Errorf("error %v, want the reader's", err)
	}
	if len(m.published) != 0 {
		t.Error("published")
	}
}

type brokenObjects struct{}

func (brokenObjects) Open(context.Context, string) (io.ReadSeekCloser, error) {
	return brokenReader{bytes.NewReader(nil)}, nil
}

type brokenReader struct{ *bytes.Reader }

func (brokenReader) Read([]byte) (int, error) {
	return 0, fault.New(fault.Unavailable, "store is down")
}
func (brokenReader) Close() error { return nil }

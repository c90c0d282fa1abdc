package summary_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/pipeline/summary"
	"github.com/seed-7a112592/gristmill/internal/provider"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/internal/writeback"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// fakeBackend is an object store, a database and a model in one.
type fakeBackend struct {
	mu       sync.Mutex
	text     string
	kept     map[document.ContentHash]string
	warnings []document.Warning // of the last of them
	finished []document.Summary
	progress document.SummaryProgress

	asked    []string             // headings of what the model was asked for by itself
	together [][]provider.Section // what it was asked for at once
	answer   func([]provider.Section) ([]string, error)

	version string
	fail    error
	saveErr error
	skipped int
	now     int // calls under way
	most    int
}

type objectReader struct{ *strings.Reader }

func (objectReader) Close() error { return nil }

func (m *fakeBackend) Open(context.Context, string) (io.ReadSeekCloser, error) {
	return objectReader{strings.NewReader(m.text)}, nil
}

func (m *fakeBackend) ReuseSectionSummaries(_ context.Context, _ task.Work, nodes []document.ContentHash) (map[document.ContentHash]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found := map[document.ContentHash]string{}
	for _, node := range nodes {
		if text, ok := m.kept[node]; ok {
			found[node] = text
		}
	}
	return found, nil
}

func (m *fakeBackend) SaveSectionSummaries(_ context.Context, _ task.Work, texts map[document.ContentHash]string, _ document.SummaryProgress) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.saveErr != nil {
		return m.saveErr
	}
	maps.Copy(m.kept, texts)
	return nil
}

func (m *fakeBackend) FinishSummary(_ context.Context, _ task.Work, s document.Summary, progress document.SummaryProgress, warnings ...document.Warning) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.finished, m.warnings = append(m.finished, s), warnings
	m.progress = progress
	return nil
}

func (m *fakeBackend) SkipSummary(context.Context, task.Work) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.skipped++
	return nil
}

func (m *fakeBackend) ReportProgress(context.Context, task.Work, any) {}

func (m *fakeBackend) Summarise(_ context.Context, heading string, texts []string) (string, error) {
	m.mu.Lock()
	m.asked = append(m.asked, heading)
	m.now++
	m.most = max(m.most, m.now)
	fail := m.fail
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		m.now--
		m.mu.Unlock()
	}()
	if fail != nil {
		return "", fail
	}
	return fmt.Sprintf("[%s: %d]", heading, len(texts)), nil
}

// SummariseSections answers every section, unless a test has it answer otherwise.
func (m *fakeBackend) SummariseSections(_ context.Context, sections []provider.Section) ([]string, error) {
	m.mu.Lock()
	m.together = append(m.together, sections)
	m.now++
	m.most = max(m.most, m.now)
	m.mu.Unlock()
	runtime.Gosched()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now--
	if m.answer != nil {
		return m.answer(sections)
	}
	return answerAll(sections), nil
}

func answerAll(sections []provider.Section) []string {
	texts := make([]string, len(sections))
	for i, s := range sections {
		texts[i] = fmt.Sprintf("[%s: %d]", s.Heading, len(s.Parts))
	}
	return texts
}

func (m *fakeBackend) Model() string   { return "test" }
func (m *fakeBackend) Version() string { return m.version }

func newStep(t *testing.T) (*summary.Step, *fakeBackend) {
	t.Helper()
	m := &fakeBackend{kept: map[document.ContentHash]string{}, version: "test/1"}
	step, err := summary.NewStep(summary.Config{
		Objects: m, Store: m, Summariser: m, Progress: m,
		Metrics: telemetry.NewMetrics(),
		Log:     slog.New(slog.NewTextHandler(t.Output(), nil)),
		Gate:    &writeback.Breaker{},
		Extract: func(_ context.Context, heading string, texts []string) (string, error) {
			return fmt.Sprintf("extract of %s", heading), nil
		},
		ParallelRequests: 3,
	})
	if err != nil {
		t.Fatal(err)
	}
	return step, m
}

func runStep(t *testing.T, step *summary.Step) {
	t.Helper()
	if err := step.Run(t.Context(), newWork(step.Objects.(*fakeBackend).text)); err != nil {
		t.Fatal(err)
	}
}

// newWork returns the task of a document with that text.
func newWork(text string) task.Work {
	return task.Work{
		Ref: task.Ref{Tenant: "default", DocumentID: uuid.New(), Version: 1, Kind: task.KindSummary},
		Key: "k.md", Object: "object", Size: int64(len(text)), SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(text))),
		Space: vector.Space{Chunking: document.Chunking{Tokens: 100}},
	}
}

// prose returns about n tokens that no other name has.
func prose(name string, n int) string {
	return strings.TrimSpace(strings.Repeat(name+" is ground between two stones. ", n/8))
}

func sampleDocument(parts ...string) string {
	var text strings.Builder
	text.WriteString("# Book\n\n" + prose("the book", 90) + "\n\n")
	for _, part := range parts {
		fmt.Fprintf(&text, "## %s\n\n%s\n\n### More on %[1]s\n\n%[3]s\n\n", part, prose(part, 90), prose("finer "+part, 90))
	}
	return text.String()
}

func TestSummaryFollowsTheHeadings(t *testing.T) {
	t.Parallel()
	step, m := newStep(t)
	m.text = sampleDocument("Wheat", "Rye")
	runStep(t, step)
	// Two leaves under each part; each part, and the book, of its leaf and the rest.
	want := map[string]int{"Book > Wheat": 2, "Book > Wheat > More on Wheat": 1, "Book > Rye": 2, "Book > Rye > More on Rye": 1, "Book": 2}
	got := map[string]int{}
	for _, heading := range m.asked {
		got[heading]++
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("asked for %v, want %v", got, want)
	}
	if len(m.finished) != 1 || m.finished[0].Summary != "[Book: 3]" || m.finished[0].Model != "test" {
		t.Errorf("finished with %+v", m.finished)
	}
	if m.progress.Sections != 8 || m.progress.SectionsDone != 8 || m.progress.SectionsReused != 0 {
		t.Errorf("progress %+v", m.progress)
	}
}

func TestOnlyChangedSectionsAreSummarisedAgain(t *testing.T) {
	t.Parallel()
	step, m := newStep(t)
	m.text = sampleDocument("Wheat", "Rye", "Oats")
	runStep(t, step)

	m.asked = nil
	runStep(t, step)
	if len(m.asked) != 0 {
		t.Errorf("the same document asked for %q again", m.asked)
	}

	m.text = strings.Replace(m.text, "finer Rye is ground", "finer Rye was ground", 1)
	runStep(t, step)
	got := map[string]bool{}
	for _, heading := range m.asked {
		got[heading] = true
	}
	// The edited leaf has another hash; those above it change only with its summary's hash.
	if len(m.asked) != 3 || !got["Book > Rye > More on Rye"] || !got["Book > Rye"] || !got["Book"] {
		t.Errorf("editing one section asked for %q", m.asked)
	}
}

func TestAnotherModelDoesNotUseKeptSummaries(t *testing.T) {
	t.Parallel()
	step, m := newStep(t)
	m.text = sampleDocument("Wheat")
	runStep(t, step)
	m.version, m.asked = "test/2", nil
	runStep(t, step)
	if len(m.asked) == 0 {
		t.Error("summaries of another version were used")
	}
}

func TestEqualHeadingsAreDifferentSections(t *testing.T) {
	t.Parallel()
	step, m := newStep(t)
	m.text = "# Book\n\n" + prose("the book", 90) + "\n\n## Example\n\n" + prose("Wheat", 90) + "\n\n## Example\n\n" + prose("Rye", 90) + "\n"
	runStep(t, step)
	count := 0
	for _, heading := range m.asked {
		if heading == "Book > Example" {
			count++
		}
	}
	if count != 2 {
		t.Errorf("asked %d times for the two sections of one name: %q", count, m.asked)
	}
}

func TestLongSectionsAndManySectionsAreBounded(t *testing.T) {
	t.Parallel()
	step, m := newStep(t)
	var text strings.Builder
	for i := range 200 {
		fmt.Fprintf(&text, "# Part %d\n\n%s\n\n", i, prose(fmt.Sprint("grain ", i), 80))
	}
	text.WriteString("# Long\n\n")
	for i := range 300 {
		text.WriteString(prose(fmt.Sprint("line ", i), 90) + "\n\n")
	}
	m.text = text.String()
	runStep(t, step)
	if m.most > 4*step.ParallelRequests {
		t.Errorf("%d summaries at a time", m.most)
	}
	if len(m.finished) != 1 || m.finished[0].Summary == "" {
		t.Errorf("finished %+v", m.finished)
	}
	if m.progress.Sections != m.progress.SectionsDone {
		t.Errorf("progress %+v", m.progress)
	}
}

func TestShortTextIsItsOwnSummary(t *testing.T) {
	t.Parallel()
	step, m := newStep(t)
	m.text = "# Note\n\nGrind it twice.\n"
	runStep(t, step)
	if len(m.asked) != 0 || m.finished[0].Summary != "# Note\n\nGrind it twice." {
		t.Errorf("asked for %q and finished with %q", m.asked, m.finished[0].Summary)
	}
}

func TestDocumentOfFrontMatterAloneIsItsSummary(t *testing.T) {
	t.Parallel()
	step, m := newStep(t)
	m.text = "---\ntitle: Nothing else\n---"
	runStep(t, step)
	if len(m.finished) != 1 || m.finished[0].Summary != m.text {
		t.Errorf("finished with %+v", m.finished)
	}
}

// What the model has been asked for when one section fails is paid for.
func TestFailureLetsSectionsInFlightFinish(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		step, m := newStep(t)
		m.text = sampleDocument("Wheat", "Rye", "Oats", "Barley")
		down := errors.New("model went away")
		var calls atomic.Int32
		step.Summariser = slowModel{m, func(ctx context.Context) error {
			if calls.Add(1) == 2 {
				return down
			}
			<-time.After(time.Second) // of the bubble's clock
			return ctx.Err()
		}}
		err := step.Run(t.Context(), newWork(m.text))
		if !errors.Is(err, down) {
			t.Fatalf("error %v, want the model's", err)
		}
		if n := int(calls.Load()); n > step.ParallelRequests+1 || len(m.kept) != n-1 {
			t.Errorf("%d sections were begun and %d kept; want no new ones, and all but the one that failed kept", n, len(m.kept))
		}
	})
}

// slowModel is a summariser that something is done before.
type slowModel struct {
	summary.Summariser
	before func(ctx context.Context) error
}

func (s slowModel) Summarise(ctx context.Context, heading string, texts []string) (string, error) {
	if err := s.before(ctx); err != nil {
		return "", err
	}
	return s.Summariser.Summarise(ctx, heading, texts)
}

func TestModelErrorIsTheRunsError(t *testing.T) {
	t.Parallel()
	step, m := newStep(t)
	m.text = sampleDocument("Wheat", "Rye")
	m.fail = errors.New("model went away")
	err := step.Run(t.Context(), newWork(m.text))
	if !errors.Is(err, m.fail) {
		t.Errorf("error %v, want the model's", err)
	}
	if len(m.finished) != 0 {
		t.Error("finished all the same")
	}
}

// Sections are summarised in goroutines of their own.
func TestPanicInASectionIsTheRunsError(t *testing.T) {
	t.Parallel()
	step, m := newStep(t)
	m.text = sampleDocument("one", "two")
	step.Summariser = panickingModel{m}
	if err := step.Run(t.Context(), newWork(m.text)); !fault.Is(err, fault.Internal) || fault.As(err) == nil {
		t.Fatalf("got %v, want the panic", err)
	}
}

type panickingModel struct{ *fakeBackend }

func (panickingModel) Summarise(context.Context, string, []string) (string, error) { panic("a defect") }

// Whatever became of an original, its summary is not finished.
func TestDamagedOriginalIsNotSummarised(t *testing.T) {
	t.Parallel()
	text := sampleDocument("Wheat", "Rye")
	for name, stored := range map[string]string{"truncated": text[:len(text)/2], "empty": "", "replaced": strings.ReplaceAll(text, "Wheat", "Maize")} {
		step, m := newStep(t)
		m.text = stored
		if err := step.Run(t.Context(), newWork(text)); !fault.Is(err, fault.Damaged) || len(m.finished) != 0 {
			t.Errorf("%s: %v, and %d summaries were finished", name, err, len(m.finished))
		}
	}
}

// A collection may have no summaries, or only those that somebody asks for: the
// model is not asked then, nor the original read.
func TestSummariesThatNobodyWants(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		configured, own document.SummaryMode
		asked, want     bool
	}{
		{"", "", false, true},
		{document.SummariesByModel, "", false, true},
		{document.SummariesOff, "", false, false},
		{document.SummariesOff, "", true, false},
		{document.SummariesOff, document.SummariesByModel, false, true},
		{document.SummariesByModel, document.SummariesOff, true, false},
		{document.SummariesByModel, document.SummariesOnDemand, false, false},
		{document.SummariesByModel, document.SummariesOnDemand, true, true},
		{document.SummariesOnDemand, "", true, true},
	} {
		step, m := newStep(t)
		step.DefaultSummaryMode = test.configured
		m.text = sampleDocument("Wheat")
		task := newWork(m.text)
		task.Summaries, task.SummaryRequested = test.own, test.asked
		if !test.want {
			m.text = "gone"
		}
		if err := step.Run(t.Context(), task); err != nil {
			t.Fatal(err)
		}
		if got := len(m.asked) > 0; got != test.want || len(m.finished)+m.skipped != 1 {
			t.Errorf("%+v: asked for %d, %d finished, %d skipped", test, len(m.asked), len(m.finished), m.skipped)
		}
	}
}

package summary_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/pipeline/summary"
	"github.com/seed-7a112592/gristmill/internal/provider"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/internal/writeback"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// fakeBackend is an object store, a database and a model.
type fakeBackend struct {
	mu       sync.Mutex
	text     string
	saved    map[document.ContentHash]string
	warnings []document.Warning // of the last finished summary
	finished []document.Summary
	progress document.SummaryProgress

	singles []string             // headings of the requests for one section
	batches [][]provider.Section // requests for several sections
	respond func([]provider.Section) ([]string, error)

	version string
	fail    error
	saveErr error
	skipped int
	now     int // number of requests under way
	most    int // maximum of now
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
		if text, ok := m.saved[node]; ok {
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
	maps.Copy(m.saved, texts)
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
	m.singles = append(m.singles, heading)
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

// SummariseSections returns a summary of every section, unless a test has set respond.
func (m *fakeBackend) SummariseSections(_ context.Context, sections []provider.Section) ([]string, error) {
	m.mu.Lock()
	m.batches = append(m.batches, sections)
	m.now++
	m.most = max(m.most, m.now)
	m.mu.Unlock()
	runtime.Gosched()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now--
	if m.respond != nil {
		return m.respond(sections)
	}
	return summariseAll(sections), nil
}

func summariseAll(sections []provider.Section) []string {
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
	m := &fakeBackend{saved: map[document.ContentHash]string{}, version: "test/1"}
	step, err := summary.NewStep(summary.Config{
		Objects: m, Store: m, Summariser: m, Progress: m,
		Metrics:      telemetry.NewMetrics(),
		Log:          slog.New(slog.NewTextHandler(t.Output(), nil)),
		WriteBreaker: &writeback.Breaker{},
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

// newWork returns the task of a document with the text.
func newWork(text string) task.Work {
	return task.Work{
		Ref: task.Ref{Tenant: "default", DocumentID: uuid.New(), Version: 1, Kind: task.KindSummary},
		Key: "k.md", Object: "object", Size: int64(len(text)), SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(text))),
		Space: vector.Space{Chunking: document.Chunking{Tokens: 100}},
	}
}

// prose returns a text of about n tokens that is different for each name.
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

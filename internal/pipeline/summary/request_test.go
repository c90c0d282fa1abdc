package summary_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// While the database cannot be written to, no summary is bought that could not
// be kept, and none is bought twice.
func TestSummariesOutliveTheirWrite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		step, m := newStep(t)
		m.text = sampleDocument("one", "two", "three")
		m.saveErr = fault.New(fault.Unavailable, "the disk is full")
		task := newWork(m.text)
		for range 3 {
			if err := step.Run(t.Context(), task); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "the disk is full") {
				t.Fatalf("got %v, want a wait for the disk", err)
			}
		}
		if len(m.asked) > step.ParallelRequests {
			t.Errorf("%d summaries were asked for while none could be written, want those in flight, %d", len(m.asked), step.ParallelRequests)
		}
		m.saveErr = nil
		if err := step.Run(t.Context(), task); err != nil {
			t.Fatal(err)
		}
		asked := slices.Sorted(slices.Values(m.asked))
		fresh, other := newStep(t)
		other.text = m.text
		if err := fresh.Run(t.Context(), task); err != nil {
			t.Fatal(err)
		}
		if want := slices.Sorted(slices.Values(other.asked)); !slices.Equal(asked, want) {
			t.Errorf("asked for %q, want each once: %q", asked, want)
		}
	})
}

// A section that the model does not take has an extract for its summary, or the
// summary of what it does take; the document has a summary all the same.
func TestRefusedSectionCostsOnlyItself(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		kind fault.Kind
		want string // of the section
		cuts bool
	}{
		"refused":         {kind: fault.InputRejected, want: "extract of Book > two"},
		"too long":        {kind: fault.InputTooLong, want: "cut", cuts: true},
		"always too long": {kind: fault.InputTooLong, want: "extract of Book > two"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			step, m := newStep(t)
			m.text = sampleDocument("one", "two")
			picky := &refusingModel{fakeBackend: m, kind: test.kind, cuts: test.cuts}
			step.Summariser = picky
			if err := step.Run(t.Context(), newWork(m.text)); err != nil {
				t.Fatal(err)
			}
			found := false
			for _, text := range m.kept {
				found = found || text == test.want
			}
			// An extract is not kept as what the model said, and is marked.
			wantModel := "test"
			var wantWarnings []document.Warning
			if !test.cuts {
				wantModel = "extractive"
				wantWarnings = []document.Warning{{Code: "summary_extractive",
					Detail: `extracts stand for the summaries of 1 of 8 sections, which the model does not give; one is "Book > two": provider answered 400: no`}}
			}
			if diff := cmp.Diff(wantWarnings, m.warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			if found != test.cuts || m.progress.SectionsRefused != 1 || len(m.finished) != 1 || m.finished[0].Model != wantModel {
				t.Errorf("kept %q, finished %+v with progress %+v; want %q by %s", m.kept, m.finished, m.progress, test.want, wantModel)
			}
			if picky.tries > 9 {
				t.Errorf("the section was sent %d times", picky.tries)
			}
		})
	}
}

// refusingModel does not take the text directly under a heading as it is.
type refusingModel struct {
	*fakeBackend
	kind fault.Kind
	cuts bool

	mu    sync.Mutex
	tries int
}

func (p *refusingModel) Summarise(ctx context.Context, heading string, texts []string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if heading != "Book > two" || len(texts) > 1 { // not the text directly under it
		return p.fakeBackend.Summarise(ctx, heading, texts)
	}
	p.tries++
	if p.cuts && len(strings.Join(texts, "")) < 200 {
		return "cut", nil
	}
	return "", fault.New(p.kind, "provider answered 400: no")
}

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

// While the database refuses writes, the step requests no summaries that it could not save. It
// requests no summary twice.
func TestUnsavedSummariesAreKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		step, m := newStep(t)
		m.text = sampleDocument("one", "two", "three")
		m.saveErr = fault.New(fault.Unavailable, "the disk is full")
		task := newWork(m.text)
		for range 3 {
			if err := step.Run(t.Context(), task); !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "the disk is full") {
				t.Fatalf("got %v, want unavailable because the disk is full", err)
			}
		}
		if len(m.singles) > step.ParallelRequests {
			t.Errorf("%d summaries were requested while none could be saved, want those under way, %d", len(m.singles), step.ParallelRequests)
		}
		m.saveErr = nil
		if err := step.Run(t.Context(), task); err != nil {
			t.Fatal(err)
		}
		asked := slices.Sorted(slices.Values(m.singles))
		fresh, other := newStep(t)
		other.text = m.text
		if err := fresh.Run(t.Context(), task); err != nil {
			t.Fatal(err)
		}
		if want := slices.Sorted(slices.Values(other.singles)); !slices.Equal(asked, want) {
			t.Errorf("requested %q, want each once: %q", asked, want)
		}
	})
}

// A section that the model refuses gets an extract, or a summary of the part that the model takes.
// The document still gets a summary.
func TestRefusedSectionAffectsOnlyItself(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		kind fault.Kind
		want string // the summary of the section
		cuts bool   // whether a shortened text is accepted
	}{
		"refused":         {kind: fault.InputRejected, want: "extract of Book > two"},
		"too long":        {kind: fault.InputTooLong, want: "shortened", cuts: true},
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
			for _, text := range m.saved {
				found = found || text == test.want
			}
			// An extract is not saved as a summary of the model, and causes a warning.
			wantModel := "test"
			var wantWarnings []document.Warning
			if !test.cuts {
				wantModel = "extractive"
				wantWarnings = []document.Warning{{Code: "summary_extractive",
					Detail: `the model returned no summary for 1 of 8 sections, and extracts replace them; one section is "Book > two": provider answered 400: no`}}
			}
			if diff := cmp.Diff(wantWarnings, m.warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			if found != test.cuts || m.progress.SectionsRefused != 1 || len(m.finished) != 1 || m.finished[0].Model != wantModel {
				t.Errorf("saved %q, finished %+v with progress %+v; want %q by %s", m.saved, m.finished, m.progress, test.want, wantModel)
			}
			if picky.tries > 9 {
				t.Errorf("the section was sent %d times, want at most 9", picky.tries)
			}
		})
	}
}

// refusingModel refuses the text directly under one heading, unless it is shortened.
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
	if heading != "Book > two" || len(texts) > 1 { // another section
		return p.fakeBackend.Summarise(ctx, heading, texts)
	}
	p.tries++
	if p.cuts && len(strings.Join(texts, "")) < 200 {
		return "shortened", nil
	}
	return "", fault.New(p.kind, "provider answered 400: no")
}

package summary_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/pipeline/summary"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func TestSummaryFollowsTheHeadings(t *testing.T) {
	t.Parallel()
	step, m := newStep(t)
	m.text = sampleDocument("Wheat", "Rye")
	runStep(t, step)
	// Two leaves under each part. Each part combines its leaf and its subsection, and the book its
	// leaf and its parts.
	want := map[string]int{"Book > Wheat": 2, "Book > Wheat > More on Wheat": 1, "Book > Rye": 2, "Book > Rye > More on Rye": 1, "Book": 2}
	got := map[string]int{}
	for _, heading := range m.singles {
		got[heading]++
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("requested %v, want %v", got, want)
	}
	if len(m.finished) != 1 || m.finished[0].Summary != "[Book: 3]" || m.finished[0].Model != "test" {
		t.Errorf("finished with %+v, want one summary by the model", m.finished)
	}
	if m.progress.Sections != 8 || m.progress.SectionsDone != 8 || m.progress.SectionsReused != 0 {
		t.Errorf("progress %+v, want 8 sections, all done and none reused", m.progress)
	}
}

func TestOnlyChangedSectionsAreSummarisedAgain(t *testing.T) {
	t.Parallel()
	step, m := newStep(t)
	m.text = sampleDocument("Wheat", "Rye", "Oats")
	runStep(t, step)

	m.singles = nil
	runStep(t, step)
	if len(m.singles) != 0 {
		t.Errorf("unchanged document: requested %q, want nothing", m.singles)
	}

	m.text = strings.Replace(m.text, "finer Rye is ground", "finer Rye was ground", 1)
	runStep(t, step)
	got := map[string]bool{}
	for _, heading := range m.singles {
		got[heading] = true
	}
	// The edited leaf has another hash, and so have the sections above it, whose hashes depend on it.
	if len(m.singles) != 3 || !got["Book > Rye > More on Rye"] || !got["Book > Rye"] || !got["Book"] {
		t.Errorf("editing one section requested %q, want it and the two above it", m.singles)
	}
}

func TestSummariesOfAnotherVersionAreNotReused(t *testing.T) {
	t.Parallel()
	step, m := newStep(t)
	m.text = sampleDocument("Wheat")
	runStep(t, step)
	m.version, m.singles = "test/2", nil
	runStep(t, step)
	if len(m.singles) == 0 {
		t.Error("summaries of another version were reused")
	}
}

func TestEqualHeadingsAreDifferentSections(t *testing.T) {
	t.Parallel()
	step, m := newStep(t)
	m.text = "# Book\n\n" + prose("the book", 90) + "\n\n## Example\n\n" + prose("Wheat", 90) + "\n\n## Example\n\n" + prose("Rye", 90) + "\n"
	runStep(t, step)
	count := 0
	for _, heading := range m.singles {
		if heading == "Book > Example" {
			count++
		}
	}
	if count != 2 {
		t.Errorf("%d requests for two sections with the same heading, want 2: %q", count, m.singles)
	}
}

func TestLongAndManySectionsAreBounded(t *testing.T) {
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
		t.Errorf("%d concurrent requests, want at most %d", m.most, 4*step.ParallelRequests)
	}
	if len(m.finished) != 1 || m.finished[0].Summary == "" {
		t.Errorf("finished %+v, want one summary", m.finished)
	}
	if m.progress.Sections != m.progress.SectionsDone {
		t.Errorf("progress %+v, want all sections done", m.progress)
	}
}

func TestShortTextIsItsOwnSummary(t *testing.T) {
	t.Parallel()
	step, m := newStep(t)
	m.text = "# Note\n\nGrind it twice.\n"
	runStep(t, step)
	if len(m.singles) != 0 || m.finished[0].Summary != "# Note\n\nGrind it twice." {
		t.Errorf("requested %q and finished with %q, want the text itself", m.singles, m.finished[0].Summary)
	}
}

func TestFrontMatterAloneIsItsOwnSummary(t *testing.T) {
	t.Parallel()
	step, m := newStep(t)
	m.text = "---\ntitle: Nothing else\n---"
	runStep(t, step)
	if len(m.finished) != 1 || m.finished[0].Summary != m.text {
		t.Errorf("finished with %+v, want %q", m.finished, m.text)
	}
}

// Requests that are under way when one section fails are paid for, so they complete.
func TestFailureLetsRequestsUnderWayComplete(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		step, m := newStep(t)
		m.text = sampleDocument("Wheat", "Rye", "Oats", "Barley")
		down := errors.New("model is down")
		var calls atomic.Int32
		step.Summariser = slowModel{m, func(ctx context.Context) error {
			if calls.Add(1) == 2 {
				return down
			}
			<-time.After(time.Second) // on the bubble's clock
			return ctx.Err()
		}}
		err := step.Run(t.Context(), newWork(m.text))
		if !errors.Is(err, down) {
			t.Fatalf("got error %v, want %v", err, down)
		}
		if n := int(calls.Load()); n > step.ParallelRequests+1 || len(m.saved) != n-1 {
			t.Errorf("%d requests and %d saved summaries; want no new requests after the failure, and all others saved", n, len(m.saved))
		}
	})
}

// slowModel calls before ahead of each request.
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

func TestModelErrorFailsTheRun(t *testing.T) {
	t.Parallel()
	step, m := newStep(t)
	m.text = sampleDocument("Wheat", "Rye")
	m.fail = errors.New("model is down")
	err := step.Run(t.Context(), newWork(m.text))
	if !errors.Is(err, m.fail) {
		t.Errorf("got error %v, want %v", err, m.fail)
	}
	if len(m.finished) != 0 {
		t.Error("the summary was finished anyway")
	}
}

// Sections are summarised in their own goroutines.
func TestPanicInASectionFailsTheRun(t *testing.T) {
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

func TestDamagedOriginalHasNoSummary(t *testing.T) {
	t.Parallel()
	text := sampleDocument("Wheat", "Rye")
	for name, stored := range map[string]string{"truncated": text[:len(text)/2], "empty": "", "replaced": strings.ReplaceAll(text, "Wheat", "Maize")} {
		step, m := newStep(t)
		m.text = stored
		if err := step.Run(t.Context(), newWork(text)); !fault.Is(err, fault.Damaged) || len(m.finished) != 0 {
			t.Errorf("%s: got error %v and %d finished summaries, want %s and none", name, err, len(m.finished), fault.Damaged)
		}
	}
}

// If the summary mode of a collection needs no summary, the step neither reads the original nor
// calls the model.
func TestSummaryModes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		configured, own document.SummaryMode
		requested, want bool
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
		task.Summaries, task.SummaryRequested = test.own, test.requested
		if !test.want {
			m.text = "not the original"
		}
		if err := step.Run(t.Context(), task); err != nil {
			t.Fatal(err)
		}
		if got := len(m.singles) > 0; got != test.want || len(m.finished)+m.skipped != 1 {
			t.Errorf("%+v: %d requests, %d finished, %d skipped", test, len(m.singles), len(m.finished), m.skipped)
		}
	}
}

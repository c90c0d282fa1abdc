package summary_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/pipeline/summary"
	"github.com/seed-7a112592/gristmill/internal/provider"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func newBatchingStep(t *testing.T) (*summary.Step, *fakeBackend) {
	step, m := newStep(t)
	step.BatchTokens = batchTokens
	return step, m
}

// summariseOneByOne returns the summaries that a document has with a request for each.
func summariseOneByOne(t *testing.T, text string) map[document.ContentHash]string {
	t.Helper()
	step, m := newStep(t)
	m.text = text
	runStep(t, step)
	return m.kept
}

func headings(sections []provider.Section) []string {
	var titles []string
	for _, s := range sections {
		titles = append(titles, s.Heading)
	}
	return titles
}

func TestDocumentThatFitsIsOneRequest(t *testing.T) {
	t.Parallel()
	step, m := newBatchingStep(t)
	m.text = sampleDocument("Wheat", "Rye")
	runStep(t, step)
	want := []string{"Book", "Book > Wheat", "Book > Wheat > More on Wheat", "Book > Wheat", "Book > Rye", "Book > Rye > More on Rye", "Book > Rye", "Book"}
	if len(m.together) != 1 || len(m.asked) != 0 || !slices.Equal(headings(m.together[0]), want) {
		t.Fatalf("asked for %+v at once and for %q, want %q at once", m.together, m.asked, want)
	}
	// A section that holds others is of them, not of their text once more.
	if diff := cmp.Diff([]provider.SectionPart{{SectionIndex: 0}, {SectionIndex: 3}, {SectionIndex: 6}}, m.together[0][7].Parts); diff != "" {
		t.Errorf("parts of the document (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(summariseOneByOne(t, m.text), m.kept); diff != "" {
		t.Errorf("kept (-one by one +at once):\n%s", diff)
	}
	if len(m.finished) != 1 || m.finished[0].Summary != "[Book: 3]" || m.progress.Sections != 8 || m.progress.SectionsDone != 8 {
		t.Errorf("finished with %+v, progress %+v", m.finished, m.progress)
	}
}

// Of what did not change, the summary is sent in place of the text.
func TestEditAsksOnceForWhatChanged(t *testing.T) {
	t.Parallel()
	step, m := newBatchingStep(t)
	m.text = sampleDocument("Wheat", "Rye", "Oats")
	runStep(t, step)
	m.together = nil
	runStep(t, step)
	if len(m.together)+len(m.asked) != 0 {
		t.Errorf("the same document asked for %+v again", m.together)
	}
	m.text = strings.Replace(m.text, "finer Rye is ground", "finer Rye was ground", 1)
	runStep(t, step)
	if len(m.together) != 1 || !slices.Equal(headings(m.together[0]), []string{"Book > Rye > More on Rye", "Book > Rye", "Book"}) {
		t.Fatalf("asked for %+v, want one request for what changed and what is above it", m.together)
	}
	want := [][]provider.SectionPart{{{Text: "[Book > Rye: 1]"}, {SectionIndex: 0}}, {{Text: "[Book: 1]"}, {Text: "[Book > Wheat: 2]"}, {SectionIndex: 1}, {Text: "[Book > Oats: 2]"}}}
	if diff := cmp.Diff(want, [][]provider.SectionPart{m.together[0][1].Parts, m.together[0][2].Parts}); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
}

// Whatever a model answers, every section has its summary in the end, as it has
// with a request for each.
func TestBadAnswersCostABoundedNumberOfRequests(t *testing.T) {
	t.Parallel()
	tooLong := fault.New(fault.InputTooLong, "answered 400: too many tokens")
	for name, test := range map[string]struct {
		answer   func(sections []provider.Section) ([]string, error)
		together int // requests at once, at most
		asked    int // by itself, at most
	}{
		"half is missing": {func(s []provider.Section) ([]string, error) {
			texts := answerAll(s)
			for i := range texts {
				if i%2 == 1 {
					texts[i] = ""
				}
			}
			return texts, nil
		}, 2, 4},
		"the document is missing": {func(s []provider.Section) ([]string, error) {
			texts := answerAll(s)
			texts[len(texts)-1] = ""
			return texts, nil
		}, 1, 1},
		"no summary at all": {func([]provider.Section) ([]string, error) {
			return nil, fault.New(fault.BadResponse, "no JSON")
		}, 1, 14},
		"more than four are too long": {func(s []provider.Section) ([]string, error) {
			if len(s) > 4 {
				return nil, tooLong
			}
			return answerAll(s), nil
		}, 7, 2},
		"several are refused": {func([]provider.Section) ([]string, error) {
			return nil, fault.New(fault.InputRejected, "provider answered 400: no")
		}, 13, 14},
		"one is refused with all around it": {func(s []provider.Section) ([]string, error) {
			if slices.ContainsFunc(s, func(s provider.Section) bool { return s.Heading == "Book > Rye > More on Rye" }) {
				return nil, fault.New(fault.InputRejected, "its content filter kept it back")
			}
			return answerAll(s), nil
		}, 6, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			step, m := newBatchingStep(t)
			m.text = sampleDocument("Wheat", "Rye", "Oats", "Barley")
			m.answer = test.answer
			runStep(t, step)
			if diff := cmp.Diff(summariseOneByOne(t, m.text), m.kept); diff != "" {
				t.Errorf("kept (-one by one +at once):\n%s", diff)
			}
			if len(m.together) > test.together || len(m.asked) > test.asked {
				t.Errorf("%d requests at once and %d by itself, want at most %d and %d", len(m.together), len(m.asked), test.together, test.asked)
			}
			if m.progress.SectionsDone != m.progress.Sections {
				t.Errorf("progress %+v", m.progress)
			}
		})
	}
}

// What the model is found not to do it is not asked for again and again.
func TestLimitsOfTheModelAreLearnt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer func(sections []provider.Section) ([]string, error)
		most   int // requests at once that come to nothing, for all documents
	}{
		"no summaries at once": {func([]provider.Section) ([]string, error) { return nil, fault.New(fault.BadResponse, "no JSON") }, 3},
		"few at once": {func(s []provider.Section) ([]string, error) {
			if len(s) > 4 {
				return nil, fault.New(fault.InputTooLong, "did not answer in time")
			}
			return answerAll(s), nil
		}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			step, m := newBatchingStep(t)
			step.ParallelRequests = 1
			nothing := 0
			m.answer = func(s []provider.Section) ([]string, error) {
				texts, err := test.answer(s)
				if err != nil {
					nothing++
				}
				return texts, err
			}
			for i := range 10 {
				m.text = sampleDocument(fmt.Sprint("Wheat ", i), fmt.Sprint("Rye ", i), fmt.Sprint("Oats ", i), fmt.Sprint("Barley ", i))
				runStep(t, step)
			}
			if nothing > test.most {
				t.Errorf("%d requests came to nothing, want at most %d", nothing, test.most)
			}
		})
	}
}

// A document that does not fit is summarised from the summaries of its parts,
// small neighbours together.
func TestLargeDocumentIsATreeOfFewRequests(t *testing.T) {
	t.Parallel()
	step, m := newBatchingStep(t)
	var parts []string
	for i := range 120 {
		parts = append(parts, fmt.Sprint("Grain ", i))
	}
	m.text = sampleDocument(parts...)
	runStep(t, step)
	sections := 0
	for _, request := range m.together {
		sections += len(request)
		if len(request) > 32 {
			t.Errorf("one request is for %d sections", len(request))
		}
	}
	if need := len(m.kept)/32 + 1; len(m.together)+len(m.asked) > need+2 || sections+len(m.asked) != len(m.kept) {
		t.Errorf("%d requests at once and %d by itself for %d sections, %d kept; want at most %d", len(m.together), len(m.asked), sections, len(m.kept), need+2)
	}
	if m.most > step.ParallelRequests {
		t.Errorf("%d requests at a time, want at most %d", m.most, step.ParallelRequests)
	}
	if !maps.Equal(summariseOneByOne(t, m.text), m.kept) {
		t.Error("other sections have a summary, or another one, than with a request for each")
	}
}

// Equal sections are asked for once.
func TestEqualSectionsAreAskedForOnce(t *testing.T) {
	t.Parallel()
	step, m := newBatchingStep(t)
	m.text = "# Book\n\n" + prose("Book", 90) + "\n\n## Rye\n\n" + prose("Rye", 90) + "\n\n## Rye\n\n" + prose("Rye", 90) + "\n"
	runStep(t, step)
	if len(m.together) != 1 || len(m.together[0]) != 3 || m.progress.SectionsDone != m.progress.Sections {
		t.Errorf("asked for %+v with progress %+v", m.together, m.progress)
	}
	if got := m.finished[0].Summary; got != "[Book: 3]" {
		t.Errorf("summary %q", got)
	}
}

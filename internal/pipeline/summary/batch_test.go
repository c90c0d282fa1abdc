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

// summariseOneByOne returns the summaries that are saved for a document with one request for each.
func summariseOneByOne(t *testing.T, text string) map[document.ContentHash]string {
	t.Helper()
	step, m := newStep(t)
	m.text = text
	runStep(t, step)
	return m.saved
}

func headings(sections []provider.Section) []string {
	var titles []string
	for _, s := range sections {
		titles = append(titles, s.Heading)
	}
	return titles
}

func TestSmallDocumentIsOneRequest(t *testing.T) {
	t.Parallel()
	step, m := newBatchingStep(t)
	m.text = sampleDocument("Wheat", "Rye")
	runStep(t, step)
	want := []string{"Book", "Book > Wheat", "Book > Wheat > More on Wheat", "Book > Wheat", "Book > Rye", "Book > Rye > More on Rye", "Book > Rye", "Book"}
	if len(m.batches) != 1 || len(m.singles) != 0 || !slices.Equal(headings(m.batches[0]), want) {
		t.Fatalf("requested %+v together and %q one by one, want %q together", m.batches, m.singles, want)
	}
	// A section with subsections refers to them and does not repeat their texts.
	if diff := cmp.Diff([]provider.SectionPart{{SectionIndex: 0}, {SectionIndex: 3}, {SectionIndex: 6}}, m.batches[0][7].Parts); diff != "" {
		t.Errorf("parts of the document (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(summariseOneByOne(t, m.text), m.saved); diff != "" {
		t.Errorf("saved summaries (-one by one +together):\n%s", diff)
	}
	if len(m.finished) != 1 || m.finished[0].Summary != "[Book: 3]" || m.progress.Sections != 8 || m.progress.SectionsDone != 8 {
		t.Errorf("finished with %+v, progress %+v, want one summary of 8 sections", m.finished, m.progress)
	}
}

// Summaries replace the texts of unchanged sections in a request.
func TestEditRequestsOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	step, m := newBatchingStep(t)
	m.text = sampleDocument("Wheat", "Rye", "Oats")
	runStep(t, step)
	m.batches = nil
	runStep(t, step)
	if len(m.batches)+len(m.singles) != 0 {
		t.Errorf("unchanged document: requested %+v and %q, want nothing", m.batches, m.singles)
	}
	m.text = strings.Replace(m.text, "finer Rye is ground", "finer Rye was ground", 1)
	runStep(t, step)
	if len(m.batches) != 1 || !slices.Equal(headings(m.batches[0]), []string{"Book > Rye > More on Rye", "Book > Rye", "Book"}) {
		t.Fatalf("requested %+v, want one request for the changed section and those above it", m.batches)
	}
	want := [][]provider.SectionPart{{{Text: "[Book > Rye: 1]"}, {SectionIndex: 0}}, {{Text: "[Book: 1]"}, {Text: "[Book > Wheat: 2]"}, {SectionIndex: 1}, {Text: "[Book > Oats: 2]"}}}
	if diff := cmp.Diff(want, [][]provider.SectionPart{m.batches[0][1].Parts, m.batches[0][2].Parts}); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
}

// Whatever a model returns, every section has a summary in the end, the same as with one request for
// each.
func TestBadAnswersCostABoundedNumberOfRequests(t *testing.T) {
	t.Parallel()
	tooLong := fault.New(fault.InputTooLong, "answered 400: too many tokens")
	for name, test := range map[string]struct {
		respond func(sections []provider.Section) ([]string, error)
		batches int // maximum number of requests for several sections
		singles int // maximum number of requests for one section
	}{
		"half is missing": {func(s []provider.Section) ([]string, error) {
			texts := summariseAll(s)
			for i := range texts {
				if i%2 == 1 {
					texts[i] = ""
				}
			}
			return texts, nil
		}, 2, 4},
		"the document is missing": {func(s []provider.Section) ([]string, error) {
			texts := summariseAll(s)
			texts[len(texts)-1] = ""
			return texts, nil
		}, 1, 1},
		"no summary at all": {func([]provider.Section) ([]string, error) {
			return nil, fault.New(fault.BadResponse, "no JSON")
		}, 1, 14},
		"more than four sections are too long": {func(s []provider.Section) ([]string, error) {
			if len(s) > 4 {
				return nil, tooLong
			}
			return summariseAll(s), nil
		}, 7, 2},
		"several sections are refused": {func([]provider.Section) ([]string, error) {
			return nil, fault.New(fault.InputRejected, "provider answered 400: no")
		}, 13, 14},
		"one section is refused, and all requests with it": {func(s []provider.Section) ([]string, error) {
			if slices.ContainsFunc(s, func(s provider.Section) bool { return s.Heading == "Book > Rye > More on Rye" }) {
				return nil, fault.New(fault.InputRejected, "stopped by its content filter")
			}
			return summariseAll(s), nil
		}, 6, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			step, m := newBatchingStep(t)
			m.text = sampleDocument("Wheat", "Rye", "Oats", "Barley")
			m.respond = test.respond
			runStep(t, step)
			if diff := cmp.Diff(summariseOneByOne(t, m.text), m.saved); diff != "" {
				t.Errorf("saved summaries (-one by one +together):\n%s", diff)
			}
			if len(m.batches) > test.batches || len(m.singles) > test.singles {
				t.Errorf("%d requests for several sections and %d for one, want at most %d and %d", len(m.batches), len(m.singles), test.batches, test.singles)
			}
			if m.progress.SectionsDone != m.progress.Sections {
				t.Errorf("progress %+v, want all sections done", m.progress)
			}
		})
	}
}

// Requests that the model cannot answer are not repeated for every document.
func TestLimitsOfTheModelAreLearned(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		respond func(sections []provider.Section) ([]string, error)
		most    int // maximum number of failed requests for all documents
	}{
		"no response to several sections": {func([]provider.Section) ([]string, error) { return nil, fault.New(fault.BadResponse, "no JSON") }, 3},
		"at most four sections": {func(s []provider.Section) ([]string, error) {
			if len(s) > 4 {
				return nil, fault.New(fault.InputTooLong, "did not answer in time")
			}
			return summariseAll(s), nil
		}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			step, m := newBatchingStep(t)
			step.ParallelRequests = 1
			failed := 0
			m.respond = func(s []provider.Section) ([]string, error) {
				texts, err := test.respond(s)
				if err != nil {
					failed++
				}
				return texts, err
			}
			for i := range 10 {
				m.text = sampleDocument(fmt.Sprint("Wheat ", i), fmt.Sprint("Rye ", i), fmt.Sprint("Oats ", i), fmt.Sprint("Barley ", i))
				runStep(t, step)
			}
			if failed > test.most {
				t.Errorf("%d requests failed, want at most %d", failed, test.most)
			}
		})
	}
}

// A large document is summarised from the summaries of its parts. Small neighbours share a request.
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
	for _, request := range m.batches {
		sections += len(request)
		if len(request) > 32 {
			t.Errorf("one request for %d sections, want at most 32", len(request))
		}
	}
	if need := len(m.saved)/32 + 1; len(m.batches)+len(m.singles) > need+2 || sections+len(m.singles) != len(m.saved) {
		t.Errorf("%d requests for several sections and %d for one, with %d sections, %d saved; want at most %d requests", len(m.batches), len(m.singles), sections, len(m.saved), need+2)
	}
	if m.most > step.ParallelRequests {
		t.Errorf("%d concurrent requests, want at most %d", m.most, step.ParallelRequests)
	}
	if !maps.Equal(summariseOneByOne(t, m.text), m.saved) {
		t.Error("other summaries are saved than with one request for each section")
	}
}

func TestEqualSectionsAreRequestedOnce(t *testing.T) {
	t.Parallel()
	step, m := newBatchingStep(t)
	m.text = "# Book\n\n" + prose("Book", 90) + "\n\n## Rye\n\n" + prose("Rye", 90) + "\n\n## Rye\n\n" + prose("Rye", 90) + "\n"
	runStep(t, step)
	if len(m.batches) != 1 || len(m.batches[0]) != 3 || m.progress.SectionsDone != m.progress.Sections {
		t.Errorf("requested %+v with progress %+v, want 3 sections in one request", m.batches, m.progress)
	}
	if got := m.finished[0].Summary; got != "[Book: 3]" {
		t.Errorf("summary %q, want [Book: 3]", got)
	}
}

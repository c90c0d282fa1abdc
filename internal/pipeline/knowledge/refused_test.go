package knowledge_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/pipeline/knowledge"
	"github.com/seed-7a112592/gristmill/internal/provider"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// A document fails if the model refuses some of its passages. The error lists them, and a corrected
// upload pays only for them.
func TestRefusedPassagesAreListed(t *testing.T) {
	t.Parallel()
	step, m, e := newStep(t)
	text := sampleDocument("grain", 40)
	refused := func(text string) bool {
		return strings.Contains(text, "Section 7 of") || strings.Contains(text, "Section 30 of")
	}
	e.call = func(_ context.Context, _ document.Model, texts []string) error {
		for _, text := range texts {
			if refused(text) {
				return fault.New(fault.InputRejected, "provider answered 400: input refused")
			}
		}
		return nil
	}
	work := m.addObject(text)
	err := step.Run(t.Context(), work)
	f := fault.As(err)
	if f == nil || f.Kind != fault.InputRejected {
		t.Fatalf("got error %v, want %s", err, fault.InputRejected)
	}
	start := strings.Index(text, "# grain 7\n")
	for _, want := range []string{
		"model m refuses 2 of", "passage 7 (grain 7), bytes ", "passage 30 (grain 30)", "provider answered 400: input refused",
	} {
		if !strings.Contains(f.Detail, want) {
			t.Errorf("the error %q does not contain %q", f.Detail, want)
		}
	}
	if f.Offset == nil || *f.Offset != int64(start) {
		t.Errorf("the error has offset %v, want %d", f.Offset, start)
	}
	if len(m.published) != 0 || len(m.passages) != 38 {
		t.Errorf("%d passages are stored and %d documents published, want 38 and none", len(m.passages), len(m.published))
	}

	before := len(e.sent)
	m.entries = map[uuid.UUID][]vector.ManifestEntry{}
	corrected := strings.NewReplacer("Section 7 of", "Part 7 of", "Section 30 of", "Part 30 of").Replace(text)
	if err := step.Run(t.Context(), m.addObject(corrected)); err != nil {
		t.Fatal(err)
	}
	if got := len(e.sent) - before; got != 2 {
		t.Errorf("the corrected document sent %d texts, want 2", got)
	}
}

// A model that refuses everything does not get a whole book.
func TestModelThatRefusesEverything(t *testing.T) {
	t.Parallel()
	step, m, e := newStep(t, func(c *knowledge.Config) { c.BatchPassages, c.ParallelBatches = 64, 1 })
	calls := 0
	e.call = func(context.Context, document.Model, []string) error {
		calls++
		return fault.New(fault.InputRejected, "provider answered 400: no")
	}
	err := step.Run(t.Context(), m.addObject(sampleDocument("grain", 1000)))
	if f := fault.As(err); f == nil || f.Kind != fault.InputRejected || !strings.Contains(f.Detail, "passage 0 (grain 0)") || calls > 64 {
		t.Errorf("%d calls, error %v; want at most 64 calls and a refusal", calls, err)
	}
}

// A passage that is too long for the model is embedded in part. The version has a warning about it,
// also if it reuses the vector of another version.
func TestTruncatedPassageCausesAWarning(t *testing.T) {
	t.Parallel()
	step, m, e := newStep(t)
	text := sampleDocument("grain", 9)
	e.call = func(_ context.Context, _ document.Model, texts []string) error {
		for _, text := range texts {
			if strings.Contains(text, "Section 7 of") && len(text) > 50 {
				return fault.New(fault.InputTooLong, "provider answered 400: too long")
			}
		}
		return nil
	}
	for range 2 {
		m.entries = map[uuid.UUID][]vector.ManifestEntry{}
		work := m.addObject(text)
		if err := step.Run(t.Context(), work); err != nil {
			t.Fatal(err)
		}
		warnings := m.warnings[work.DocumentID]
		if len(warnings) != 1 || warnings[0].Code != "passage_truncated" || !strings.Contains(text[warnings[0].Start:warnings[0].End], "Section 7 of") {
			t.Errorf("warnings %+v, want one about the passage", warnings)
		}
	}
}

// If a model returns other dimensions than the collection holds, its tasks wait, and the error says
// what to do.
func TestOtherDimensionsSayWhatToRun(t *testing.T) {
	t.Parallel()
	step, m, e := newStep(t)
	e.call = func(_ context.Context, model document.Model, _ []string) error {
		wrong := &provider.DimensionsError{Model: model, Got: 48}
		return fault.Wrap(fault.Misconfigured, wrong, "%v", wrong)
	}
	work := m.addObject(sampleDocument("grain", 3))
	work.Collection = "books"
	err := step.Run(t.Context(), work)
	want := "make the provider return those again, or run: gristmill reindex --collection books --model 'm' --dimensions 48"
	if f := fault.As(err); f == nil || f.Kind != fault.Misconfigured || !strings.HasSuffix(f.Detail, want) ||
		!strings.Contains(f.Detail, "returns vectors of 48 dimensions, not ") || len(m.published) != 0 {
		t.Errorf("got error %v, want one that makes the task wait and ends with: %s", err, want)
	}
}

package reindex_test

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// refuseTexts returns the function of a model that refuses texts with one of the words.
func refuseTexts(words ...string) func(context.Context, []string) error {
	return func(_ context.Context, texts []string) error {
		for _, text := range texts {
			if slices.ContainsFunc(words, func(word string) bool { return strings.Contains(text, word) }) {
				return fault.New(fault.InputRejected, "provider answered 400: not this")
			}
		}
		return nil
	}
}

// Documents that the new model refuses are left out and listed, wherever the refused passage is in
// them and in a batch. All others are added.
func TestRefusedDocumentsAreLeftOut(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		sections int // number of sections of each refused document
		bad      int // index of the refused section
		to       document.Chunking
	}{
		"short":                  {1, 0, oldChunking},
		"long, in first batch":   {40, 1, oldChunking},
		"long, in middle batch":  {40, 20, oldChunking},
		"long, its last passage": {40, 39, oldChunking},
		"with a new chunking":    {10, 4, newChunking},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := newFilledDatabase(newModel, test.to, 12)
			var refused []uuid.UUID
			for range 3 {
				id := uuid.New()
				text := sampleDocument("bad "+id.String(), test.sections)
				text = strings.Replace(text, "Section "+strconv.Itoa(test.bad)+" tells", "Chaff "+strconv.Itoa(test.bad)+" tells", 1)
				db.upload(id, text, db.from)
				refused = append(refused, id)
			}
			slices.SortFunc(refused, func(a, b uuid.UUID) int { return strings.Compare(a.String(), b.String()) })
			step, m := newStep(t, db)
			m.respond = refuseTexts("Chaff")
			if err := step.Run(t.Context(), db.claim()); err != nil {
				t.Fatal(err)
			}
			p := db.reindex.Progress
			var listed []uuid.UUID
			for _, out := range p.LeftOut {
				listed = append(listed, out.DocumentID)
				if !strings.Contains(out.Error, "model new refuses passage ") || !strings.Contains(out.Error, ", bytes ") ||
					!strings.HasSuffix(out.Error, ": provider answered 400: not this") || out.Key == "" {
					t.Errorf("left out %+v, want the refused passage and the provider's reason", out)
				}
			}
			if !slices.Equal(listed, refused) || p.LeftOutCount != 3 {
				t.Errorf("listed %v of %d, want %v", listed, p.LeftOutCount, refused)
			}
			if p.DocumentsDone != 15 || p.Documents != 15 {
				t.Errorf("%d of %d documents done, want 15", p.DocumentsDone, p.Documents)
			}
			for _, id := range refused {
				if n := len(db.spaces[db.to.ID].entries[versionOf(db.documents[id])]); n > 0 {
					t.Errorf("a document that is left out has %d entries, want none", n)
				}
				delete(db.documents, id)
			}
			wantBuilt(t, db)
		})
	}
}

// Documents with passages that the new model truncates get a warning about each of them, in whatever
// batch it is, and for every document that has it.
func TestTruncatedPassagesCauseWarnings(t *testing.T) {
	t.Parallel()
	db := newFilledDatabase(newModel, oldChunking, 12)
	text := strings.NewReplacer("Section 1 tells", "Chaff 1 tells", "Section 39 tells", "Chaff 39 tells").Replace(sampleDocument("long", 40))
	truncated := []uuid.UUID{uuid.New(), uuid.New()}
	for _, id := range truncated {
		db.upload(id, text, db.from)
	}
	step, m := newStep(t, db)
	m.respond = func(_ context.Context, texts []string) error {
		for _, text := range texts {
			if strings.Contains(text, "Chaff") && len(text) > 50 {
				return fault.New(fault.InputTooLong, "provider answered 400: too long")
			}
		}
		return nil
	}
	if err := step.Run(t.Context(), db.claim()); err != nil {
		t.Fatal(err)
	}
	wantBuilt(t, db)
	for id, d := range db.documents {
		var got []string
		for _, w := range db.spaces[db.to.ID].warnings[versionOf(d)] {
			if w.Code != "passage_truncated" {
				t.Errorf("got warning %+v, want passage_truncated", w)
			}
			got = append(got, strings.Fields(text[w.Start:w.End])[3])
		}
		var want []string
		if slices.Contains(truncated, id) {
			want = []string{"Chaff", "Chaff"}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: warnings about passages %q, want %q", d.Key, got, want)
		}
	}
}

// If the model refuses everything, its empty space does not become active.
func TestModelThatRefusesEverything(t *testing.T) {
	t.Parallel()
	db := newFilledDatabase(newModel, oldChunking, 30)
	step, m := newStep(t, db)
	m.respond = refuseTexts("tells")
	err := step.Run(t.Context(), db.claim())
	if f := fault.As(err); f == nil || f.Kind != fault.InputRejected || db.active == db.to.ID {
		t.Errorf("got error %v and active space %d, want %s and the old space", err, db.active, fault.InputRejected)
	}
}

// If most originals are missing, the new space does not become active, and the error says why.
func TestMissingOriginalsDoNotEmptyTheActiveSpace(t *testing.T) {
	t.Parallel()
	db := newFilledDatabase(newModel, newChunking, 30)
	lost := 0
	for _, d := range db.documents {
		if lost++; lost <= 20 {
			delete(db.objects, d.Object)
		}
	}
	step, _ := newStep(t, db)
	err := step.Run(t.Context(), db.claim())
	f := fault.As(err)
	if f == nil || f.Kind != fault.InputRejected || !strings.HasPrefix(f.Detail, "20 of 30 documents would be left out") ||
		!strings.Contains(f.Detail, "missing from object storage") || db.active == db.to.ID {
		t.Errorf("got error %v and active space %d, want 20 of 30 documents left out, and the old space", err, db.active)
	}
}

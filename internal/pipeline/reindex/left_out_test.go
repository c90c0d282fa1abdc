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

// refuseTexts answers as a model does that does not take what has one of the words.
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

// Documents that the new model does not take are left out and listed, wherever
// in them and in their unit the passage stands, and all others are placed.
func TestRefusedDocumentsAreLeftOut(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		sections int // of each bad document
		bad      int // the section that is refused
		to       document.Chunking
	}{
		"short":                   {1, 0, oldChunking},
		"long, in its first unit": {40, 1, oldChunking},
		"long, in a middle unit":  {40, 20, oldChunking},
		"long, its last passage":  {40, 39, oldChunking},
		"with another way to cut": {10, 4, newChunking},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := newFilledDatabase(newModel, test.to, 12)
			var bad []uuid.UUID
			for range 3 {
				id := uuid.New()
				text := sampleDocument("bad "+id.String(), test.sections)
				text = strings.Replace(text, "Section "+strconv.Itoa(test.bad)+" tells", "Chaff "+strconv.Itoa(test.bad)+" tells", 1)
				db.upload(id, text, db.from)
				bad = append(bad, id)
			}
			slices.SortFunc(bad, func(a, b uuid.UUID) int { return strings.Compare(a.String(), b.String()) })
			step, m := newStep(t, db)
			m.answer = refuseTexts("Chaff")
			if err := step.Run(t.Context(), db.claim()); err != nil {
				t.Fatal(err)
			}
			p := db.reindex.Progress
			var listed []uuid.UUID
			for _, out := range p.LeftOut {
				listed = append(listed, out.DocumentID)
				if !strings.Contains(out.Error, "model new does not take passage ") || !strings.Contains(out.Error, ", bytes ") ||
					!strings.HasSuffix(out.Error, ": provider answered 400: not this") || out.Key == "" {
					t.Errorf("left out: %+v", out)
				}
			}
			if !slices.Equal(listed, bad) || p.LeftOutCount != 3 {
				t.Errorf("listed %v of %d, want %v", listed, p.LeftOutCount, bad)
			}
			if p.DocumentsDone != 15 || p.Documents != 15 {
				t.Errorf("%d of %d documents done, want 15", p.DocumentsDone, p.Documents)
			}
			for _, id := range bad {
				if n := len(db.spaces[db.to.ID].places[versionOf(db.documents[id])]); n > 0 {
					t.Errorf("a document that was left out has %d places", n)
				}
				delete(db.documents, id)
			}
			wantBuilt(t, db)
		})
	}
}

// Documents of which the new model takes a part only are placed with a warning
// for each such passage, in whatever unit it stands, and however often one is
// there.
func TestPassagesThatAreCutAreWarnedOf(t *testing.T) {
	t.Parallel()
	db := newFilledDatabase(newModel, oldChunking, 12)
	text := strings.NewReplacer("Section 1 tells", "Chaff 1 tells", "Section 39 tells", "Chaff 39 tells").Replace(sampleDocument("long", 40))
	cut := []uuid.UUID{uuid.New(), uuid.New()}
	for _, id := range cut {
		db.upload(id, text, db.from)
	}
	step, m := newStep(t, db)
	m.answer = func(_ context.Context, texts []string) error {
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
				t.Errorf("%+v", w)
			}
			got = append(got, strings.Fields(text[w.Start:w.End])[3])
		}
		var want []string
		if slices.Contains(cut, id) {
			want = []string{"Chaff", "Chaff"}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: warnings of passages %q, want %q", d.Key, got, want)
		}
	}
}

// A model that takes nothing is not left with an empty space that is live.
func TestModelThatTakesNothingDoesNotBecomeLive(t *testing.T) {
	t.Parallel()
	db := newFilledDatabase(newModel, oldChunking, 30)
	step, m := newStep(t, db)
	m.answer = refuseTexts("tells")
	err := step.Run(t.Context(), db.claim())
	if f := fault.As(err); f == nil || f.Kind != fault.InputRejected || db.live == db.to.ID {
		t.Errorf("space %d is live, %v", db.live, err)
	}
}

// Nor is a space in which most documents are missing, and it is said why.
func TestLostOriginalsDoNotEmptyTheLiveSpace(t *testing.T) {
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
		!strings.Contains(f.Detail, "missing from object storage") || db.live == db.to.ID {
		t.Errorf("space %d is live, %v", db.live, err)
	}
}

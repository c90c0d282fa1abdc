package reindex_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/pipeline/reindex"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Documents come, change and go while the space is built, at each of its calls.
func TestDocumentsChangeMeanwhile(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func() *fakeDatabase{
		"model":    func() *fakeDatabase { return newFilledDatabase(newModel, oldChunking, 25) },
		"chunking": func() *fakeDatabase { return newFilledDatabase(oldModel, newChunking, 25) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := make()
			step, _ := newStep(t, db)
			ids := slices.Collect(maps.Keys(db.documents))
			n := 0
			db.before = func(call string) error {
				if n++; n > 60 {
					return nil
				}
				id := ids[n%len(ids)]
				switch n % 5 {
				case 0:
					db.delete(id)
				case 1: // as a knowledge task does
					db.upload(id, sampleDocument(fmt.Sprint("edited", n), 3), db.from, db.to)
				case 2: // as one that the new model has failed
					db.upload(id, sampleDocument(fmt.Sprint("edited", n), 4), db.from)
				case 3:
					db.upload(uuid.New(), sampleDocument(fmt.Sprint("fresh", n), 2), db.from)
				}
				return nil
			}
			if err := step.Run(t.Context(), db.claim()); err != nil {
				t.Fatal(err)
			}
			if n < 30 {
				t.Errorf("only %d calls", n)
			}
			wantBuilt(t, db)
		})
	}
}

// A document that comes to be missing at the last moment is placed, and then
// the space becomes the live one after all.
func TestBuildsOnWhenADocumentIsMissing(t *testing.T) {
	t.Parallel()
	for _, late := range []string{"IndexSpace", "Verify", "Switch"} {
		db := newFilledDatabase(newModel, oldChunking, 5)
		step, m := newStep(t, db)
		times := 0
		db.before = func(call string) error {
			if call == late {
				if times++; times <= 5 {
					db.upload(uuid.New(), sampleDocument(fmt.Sprint("late", times), 2), db.from)
				}
			}
			return nil
		}
		if err := step.Run(t.Context(), db.claim()); err != nil {
			t.Fatalf("%s: %v", late, err)
		}
		wantBuilt(t, db)
		if times == 0 || m.resent() != 0 {
			t.Errorf("%s: called %d times, and %d texts were sent again", late, times, m.resent())
		}
	}
}

// What verifying finds damaged is missing from then on, and placed again.
func TestDamagedDocumentIsPlacedAgain(t *testing.T) {
	t.Parallel()
	db := newFilledDatabase(newModel, oldChunking, 5)
	step, _ := newStep(t, db)
	damaged := false
	db.before = func(call string) error {
		if call == "Verify" && !damaged {
			damaged = true
			for _, d := range db.documents {
				delete(db.spaces[2].whole, versionOf(d))
				return fault.New(fault.Conflict, "document %s is damaged", d.DocumentID)
			}
		}
		return nil
	}
	if err := step.Run(t.Context(), db.claim()); err != nil {
		t.Fatal(err)
	}
	wantBuilt(t, db)
	want := []document.ReindexStage{document.StageIndex, document.StageVerify, document.StageDocuments, document.StageVerify}
	if diff := cmp.Diff(want, db.stages); diff != "" {
		t.Errorf("stages (-want +got):\n%s", diff)
	}
}

// What was read of an original before it was gone is placed nowhere, so it is
// not embedded, and not counted.
func TestOriginalThatGoesAwayIsNotPaidFor(t *testing.T) {
	t.Parallel()
	db := newFakeDatabase(oldModel, newChunking)
	kept := db.upload(uuid.UUID{1}, sampleDocument("kept", 1), db.from)
	lost := db.upload(uuid.UUID{2}, sampleDocument("lost", 2), db.from)
	step, m := newStep(t, db, func(c *reindex.StepConfig) {
		c.Objects = tornObjects{db, lost.Object, func() { db.delete(lost.DocumentID) }}
	})
	if err := step.Run(t.Context(), db.claim()); err != nil {
		t.Fatal(err)
	}
	wantBuilt(t, db)
	if len(db.spaces[2].whole) != 1 || db.spaces[2].whole[versionOf(kept)] == 0 {
		t.Errorf("placed %v, want %v alone", db.spaces[2].whole, kept.DocumentID)
	}
	for text := range m.sent {
		if strings.Contains(text, "lost") {
			t.Errorf("embedded %q, of a document that is gone", text)
		}
	}
	if p := db.reindex.Progress; p.Passages != p.Embedded+p.Reused || p.Reused < 0 || p.Embedded != int64(len(m.sent)) {
		t.Errorf("progress %+v, and %d texts were embedded", p, len(m.sent))
	}
}

// tornObjects are objects of which one goes away while it is being read.
type tornObjects struct {
	*fakeDatabase
	object string
	gone   func()
}

func (o tornObjects) Open(ctx context.Context, name string) (io.ReadSeekCloser, error) {
	r, err := o.fakeDatabase.Open(ctx, name)
	if name == o.object && err == nil {
		return tornReader{r, io.LimitReader(r, 90), o.gone}, nil
	}
	return r, err
}

type tornReader struct {
	io.ReadSeekCloser
	part io.Reader
	gone func()
}

func (r tornReader) Read(p []byte) (int, error) {
	n, err := r.part.Read(p)
	if err == io.EOF {
		r.gone()
		err = fault.New(fault.NotFound, "the object is gone")
	}
	return n, err
}

func TestSpaceThatCannotBeVerifiedStaysUnused(t *testing.T) {
	t.Parallel()
	for _, kind := range []fault.Kind{fault.Conflict, fault.Internal} {
		db := newFilledDatabase(newModel, oldChunking, 5)
		step, _ := newStep(t, db)
		tries := 0
		db.before = func(call string) error {
			if call == "Verify" {
				tries++
				return fault.New(kind, "a passage is not found")
			}
			return nil
		}
		if err := step.Run(t.Context(), db.claim()); !fault.Is(err, kind) || tries > 3 || db.live != db.from.ID {
			t.Errorf("%v after %d tries, and space %d is live", err, tries, db.live)
		}
	}
}

// A document that is deleted while its original is about to be read is no
// failure; one whose original is gone or damaged is left out and listed.
func TestOriginalThatIsGoneOrDamaged(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		deleted bool
		damage  func(text string) string // nil when it is gone
	}{
		"deleted":   {deleted: true},
		"gone":      {},
		"truncated": {damage: func(text string) string { return text[:len(text)/2] }},
		"replaced":  {damage: func(text string) string { return "X" + text[1:] }},
	} {
		db := newFilledDatabase(oldModel, newChunking, 5)
		step, _ := newStep(t, db)
		ids := slices.SortedFunc(maps.Keys(db.documents), func(a, b uuid.UUID) int { return strings.Compare(a.String(), b.String()) })
		lost := db.documents[ids[2]]
		if test.damage == nil {
			delete(db.objects, lost.Object)
		} else {
			db.objects[lost.Object] = test.damage(db.objects[lost.Object])
		}
		looks := 0
		db.before = func(call string) error {
			if call == "Unplaced" {
				if looks++; looks == 2 && test.deleted {
					db.delete(lost.DocumentID)
				}
			}
			return nil
		}
		err := step.Run(t.Context(), db.claim())
		if test.deleted {
			if err != nil {
				t.Fatal(err)
			}
			wantBuilt(t, db)
			continue
		}
		left := db.reindex.Progress.LeftOut
		if err != nil || len(left) != 1 || left[0].DocumentID != lost.DocumentID || left[0].Key != lost.Key || !strings.Contains(left[0].Error, lost.Object) {
			t.Errorf("%s: %v, and left out %+v", name, err, left)
		}
		if n := len(db.spaces[2].places); n != 4 || db.live != 2 {
			t.Errorf("%s: %d documents are placed, want the 4 others, and space %d is live", name, n, db.live)
		}
	}
}

// Only a document that is gone is left for later.
func TestSpaceThatIsGoneEndsTheRun(t *testing.T) {
	t.Parallel()
	db := newFilledDatabase(newModel, oldChunking, 20)
	step, _ := newStep(t, db)
	places := 0
	db.before = func(call string) error {
		if call == "Place" {
			places++
			return fault.New(fault.NotFound, "there is no space 2")
		}
		return nil
	}
	if err := step.Run(t.Context(), db.claim()); !fault.Is(err, fault.NotFound) || places != 1 || db.opened > 0 {
		t.Errorf("%v after %d writes and %d originals", err, places, db.opened)
	}
}

// A store that takes a document and does not keep it must not be asked for
// ever.
func TestDocumentThatStaysMissingIsGivenUp(t *testing.T) {
	t.Parallel()
	db := newFilledDatabase(newModel, oldChunking, 5)
	step, _ := newStep(t, db)
	looks := 0
	db.before = func(call string) error {
		if call == "Unplaced" {
			looks++
			clear(db.spaces[2].whole)
		}
		return nil
	}
	if err := step.Run(t.Context(), db.claim()); err == nil || fault.As(err) != nil || looks > 5 {
		t.Errorf("%v after %d looks", err, looks)
	}
}

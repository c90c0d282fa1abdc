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

// Documents are uploaded, changed and deleted at each call while the space is built.
func TestDocumentsChangeDuringABuild(t *testing.T) {
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
				case 1: // like a knowledge task
					db.upload(id, sampleDocument(fmt.Sprint("edited", n), 3), db.from, db.to)
				case 2: // like a knowledge task that the new model has failed
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
				t.Errorf("%d calls, want at least 30", n)
			}
			wantBuilt(t, db)
		})
	}
}

// A document that becomes missing at the last moment is added. Then the space becomes active.
func TestLateDocumentsAreAdded(t *testing.T) {
	t.Parallel()
	for _, late := range []string{"IndexSpace", "VerifySpace", "ActivateSpace"} {
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
			t.Errorf("%s: called %d times, and %d texts were sent again, want some calls and no texts", late, times, m.resent())
		}
	}
}

// A document that the verification finds damaged becomes missing, and is added again.
func TestDocumentDamagedInTheNewSpaceIsAddedAgain(t *testing.T) {
	t.Parallel()
	db := newFilledDatabase(newModel, oldChunking, 5)
	step, _ := newStep(t, db)
	damaged := false
	db.before = func(call string) error {
		if call == "VerifySpace" && !damaged {
			damaged = true
			for _, d := range db.documents {
				delete(db.spaces[2].complete, versionOf(d))
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

// If an original is deleted while it is read, the passages that were read get no entries. So they are
// not embedded, and not counted.
func TestOriginalDeletedDuringAReadIsNotEmbedded(t *testing.T) {
	t.Parallel()
	db := newFakeDatabase(oldModel, newChunking)
	intact := db.upload(uuid.UUID{1}, sampleDocument("kept", 1), db.from)
	lost := db.upload(uuid.UUID{2}, sampleDocument("lost", 2), db.from)
	step, m := newStep(t, db, func(c *reindex.StepConfig) {
		c.Objects = tornObjects{db, lost.Object, func() { db.delete(lost.DocumentID) }}
	})
	if err := step.Run(t.Context(), db.claim()); err != nil {
		t.Fatal(err)
	}
	wantBuilt(t, db)
	if len(db.spaces[2].complete) != 1 || db.spaces[2].complete[versionOf(intact)] == 0 {
		t.Errorf("complete versions %v, want only %v", db.spaces[2].complete, intact.DocumentID)
	}
	for text := range m.sent {
		if strings.Contains(text, "lost") {
			t.Errorf("embedded %q of a deleted document", text)
		}
	}
	if p := db.reindex.Progress; p.Passages != p.Embedded+p.Reused || p.Reused < 0 || p.Embedded != int64(len(m.sent)) {
		t.Errorf("progress %+v, with %d embedded texts", p, len(m.sent))
	}
}

// tornObjects are objects of which one is deleted while it is read.
type tornObjects struct {
	*fakeDatabase
	object string
	remove func()
}

func (o tornObjects) Open(ctx context.Context, name string) (io.ReadSeekCloser, error) {
	r, err := o.fakeDatabase.Open(ctx, name)
	if name == o.object && err == nil {
		return tornReader{r, io.LimitReader(r, 90), o.remove}, nil
	}
	return r, err
}

type tornReader struct {
	io.ReadSeekCloser
	part   io.Reader
	remove func()
}

func (r tornReader) Read(p []byte) (int, error) {
	n, err := r.part.Read(p)
	if err == io.EOF {
		r.remove()
		err = fault.New(fault.NotFound, "the object was deleted")
	}
	return n, err
}

func TestSpaceThatCannotBeVerifiedIsNotActivated(t *testing.T) {
	t.Parallel()
	for _, kind := range []fault.Kind{fault.Conflict, fault.Internal} {
		db := newFilledDatabase(newModel, oldChunking, 5)
		step, _ := newStep(t, db)
		tries := 0
		db.before = func(call string) error {
			if call == "VerifySpace" {
				tries++
				return fault.New(kind, "a passage is not found")
			}
			return nil
		}
		if err := step.Run(t.Context(), db.claim()); !fault.Is(err, kind) || tries > 3 || db.active != db.from.ID {
			t.Errorf("got error %v after %d tries, space %d is active; want %s after at most 3 tries, and the old space", err, tries, db.active, kind)
		}
	}
}

// A document that is deleted before its original is read is not a failure. A document whose original is
// missing or damaged is left out and listed.
func TestMissingAndDamagedOriginals(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		deleted bool
		damage  func(text string) string // nil if the original is missing
	}{
		"deleted":   {deleted: true},
		"missing":   {},
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
		passes := 0
		db.before = func(call string) error {
			if call == "MissingVersions" {
				if passes++; passes == 2 && test.deleted {
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
			t.Errorf("%s: got error %v and left out %+v, want no error and %s", name, err, left, lost.Key)
		}
		if n := len(db.spaces[2].entries); n != 4 || db.active != 2 {
			t.Errorf("%s: %d documents have entries and space %d is active, want the 4 others and space 2", name, n, db.active)
		}
	}
}

// Not-found errors of the store are not about a document, so the run fails.
func TestDeletedSpaceFailsTheRun(t *testing.T) {
	t.Parallel()
	db := newFilledDatabase(newModel, oldChunking, 20)
	step, _ := newStep(t, db)
	writes := 0
	db.before = func(call string) error {
		if call == "WriteToSpace" {
			writes++
			return fault.New(fault.NotFound, "there is no space 2")
		}
		return nil
	}
	if err := step.Run(t.Context(), db.claim()); !fault.Is(err, fault.NotFound) || writes != 1 || db.opened > 0 {
		t.Errorf("got error %v after %d writes and %d originals, want %s after 1 and none", err, writes, db.opened, fault.NotFound)
	}
}

// A document that stays missing although it was added does not make the reindex loop forever.
func TestDocumentThatStaysMissingFailsTheRun(t *testing.T) {
	t.Parallel()
	db := newFilledDatabase(newModel, oldChunking, 5)
	step, _ := newStep(t, db)
	passes := 0
	db.before = func(call string) error {
		if call == "MissingVersions" {
			passes++
			clear(db.spaces[2].complete)
		}
		return nil
	}
	if err := step.Run(t.Context(), db.claim()); err == nil || fault.As(err) != nil || passes > 5 {
		t.Errorf("got error %v after %d passes, want an internal error after at most 5", err, passes)
	}
}

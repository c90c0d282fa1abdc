package reindex_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/pipeline/reindex"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func TestNewModelEmbedsStoredPassages(t *testing.T) {
	t.Parallel()
	db := newFilledDatabase(newModel, oldChunking, 30)
	step, m := newStep(t, db)
	if err := step.Run(t.Context(), db.claim()); err != nil {
		t.Fatal(err)
	}
	wantBuilt(t, db)
	distinct := len(db.spaces[1].passages)
	if len(m.sent) != distinct || m.resent() != 0 {
		t.Errorf("sent %d texts, %d of them again; want each of %d passages once", len(m.sent), m.resent(), distinct)
	}
	if db.opened != 0 {
		t.Errorf("%d originals were read, want none", db.opened)
	}
	var entries, size int64
	for _, d := range db.documents {
		entries += db.spaces[1].complete[versionOf(d)]
		size += d.Size
	}
	p := db.reindex.Progress
	p.Seconds = 0
	want := document.ReindexProgress{Documents: 30, DocumentsDone: 30, Bytes: size, BytesDone: size,
		Passages: entries, Embedded: int64(distinct), Reused: entries - int64(distinct)}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]document.ReindexStage{document.StageIndex, document.StageVerify}, db.stages); diff != "" {
		t.Errorf("stages (-want +got):\n%s", diff)
	}
	if db.changed < 5 {
		t.Errorf("notified of %d changes, want at least 5", db.changed)
	}
}

// Requests are as full as possible, even if documents are small.
func TestBatchesSpanDocuments(t *testing.T) {
	t.Parallel()
	db := newFakeDatabase(newModel, oldChunking)
	for i := range 40 {
		db.upload(uuid.New(), sampleDocument(fmt.Sprint("own", i), 1), db.from)
	}
	db.upload(uuid.New(), sampleDocument("long", 55), db.from)
	step, m := newStep(t, db)
	if err := step.Run(t.Context(), db.claim()); err != nil {
		t.Fatal(err)
	}
	wantBuilt(t, db)
	if n := len(m.sent); m.requests != (n+batch-1)/batch || n < 95 {
		t.Errorf("%d requests for %d passages, want all of them full and at least 95 passages", m.requests, n)
	}
}

func TestTokensBoundABatch(t *testing.T) {
	t.Parallel()
	db := newFilledDatabase(newModel, oldChunking, 5)
	step, m := newStep(t, db, func(c *reindex.StepConfig) { c.BatchTokens = 1 })
	if err := step.Run(t.Context(), db.claim()); err != nil {
		t.Fatal(err)
	}
	wantBuilt(t, db)
	if m.requests != len(m.sent) {
		t.Errorf("%d requests for %d texts, want one each", m.requests, len(m.sent))
	}
}

// Passages that are the same under the new chunking have their vectors already.
func TestNewChunkingEmbedsOnlyNewPassages(t *testing.T) {
	t.Parallel()
	db := newFakeDatabase(oldModel, newChunking)
	for i := range 10 {
		var short strings.Builder // passages that are the same with half the tokens
		for j := range 6 {
			fmt.Fprintf(&short, "# %d %d\n\nA short one.\n\n", i, j)
		}
		db.upload(uuid.New(), short.String()+sampleDocument(fmt.Sprint("long", i), 6), db.from)
	}
	step, m := newStep(t, db)
	if err := step.Run(t.Context(), db.claim()); err != nil {
		t.Fatal(err)
	}
	wantBuilt(t, db)
	if db.opened != 10 {
		t.Errorf("%d originals were read, want 10", db.opened)
	}
	same := 0
	for hash := range db.spaces[2].passages {
		if _, ok := db.spaces[1].passages[hash]; ok {
			same++
		}
	}
	if same != 60 || len(m.sent) != len(db.spaces[2].passages)-same || m.resent() != 0 {
		t.Errorf("sent %d texts of %d passages, of which %d were in the old space, want 60 of them, and the others sent once", len(m.sent), len(db.spaces[2].passages), same)
	}
	if p := db.reindex.Progress; p.Embedded != int64(len(m.sent)) || p.Reused != 60 {
		t.Errorf("progress %+v, want %d embedded and 60 reused", p, len(m.sent))
	}
}

func TestDocumentsWithoutPassagesAreComplete(t *testing.T) {
	t.Parallel()
	db := newFakeDatabase(newModel, oldChunking)
	for range 150 {
		db.upload(uuid.New(), "\n", db.from)
	}
	step, m := newStep(t, db)
	if err := step.Run(t.Context(), db.claim()); err != nil {
		t.Fatal(err)
	}
	wantBuilt(t, db)
	if len(db.spaces[2].complete) != len(db.documents) || m.requests != 0 {
		t.Errorf("%d documents are complete, with %d requests; want %d and none", len(db.spaces[2].complete), m.requests, len(db.documents))
	}
}

// Originals are the truth: a document that is damaged in the active space is split again.
func TestDamagedDocumentIsSplitAgain(t *testing.T) {
	t.Parallel()
	for _, missing := range []int{0, 2, 20} { // passage 20 comes after one or two batches
		db := newFilledDatabase(newModel, oldChunking, 10)
		d := db.upload(uuid.New(), sampleDocument("grain", 30), db.from)
		v := versionOf(d)
		db.spaces[1].entries[v] = slices.Delete(db.spaces[1].entries[v], missing, missing+1)
		all := db.upload(uuid.New(), sampleDocument("flour", 3), db.from)
		delete(db.spaces[1].entries, versionOf(all))
		step, m := newStep(t, db)
		if err := step.Run(t.Context(), db.claim()); err != nil {
			t.Fatal(err)
		}
		wantBuilt(t, db)
		if db.opened != 2 || m.resent() != 0 {
			t.Errorf("%d originals were read and %d texts sent again, want 2 and none", db.opened, m.resent())
		}
	}
}

// A reindex that switches back to the previous space stays in its stage, which says that it does so.
func TestRevertKeepsItsStage(t *testing.T) {
	t.Parallel()
	db := newFilledDatabase(newModel, oldChunking, 10)
	db.reindex.Stage = document.StageReverting
	step, _ := newStep(t, db)
	if err := step.Run(t.Context(), db.claim()); err != nil {
		t.Fatal(err)
	}
	wantBuilt(t, db)
	if len(db.stages) > 0 {
		t.Errorf("recorded stages %v, want none", db.stages)
	}
}

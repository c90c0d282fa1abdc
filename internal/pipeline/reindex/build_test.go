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

func TestNewModelGetsTheStoredPassages(t *testing.T) {
	t.Parallel()
	db := newFilledDatabase(newModel, oldChunking, 30)
	step, m := newStep(t, db)
	if err := step.Run(t.Context(), db.claim()); err != nil {
		t.Fatal(err)
	}
	wantBuilt(t, db)
	distinct := len(db.spaces[1].passages)
	if len(m.sent) != distinct || m.resent() != 0 {
		t.Errorf("sent %d texts, %d of them again; want each of the %d passages once", len(m.sent), m.resent(), distinct)
	}
	if db.opened != 0 {
		t.Errorf("%d originals were read again", db.opened)
	}
	var places, size int64
	for _, d := range db.documents {
		places += db.spaces[1].whole[versionOf(d)]
		size += d.Size
	}
	p := db.reindex.Progress
	p.Seconds = 0
	want := document.ReindexProgress{Documents: 30, DocumentsDone: 30, Bytes: size, BytesDone: size,
		Passages: places, Embedded: int64(distinct), Reused: places - int64(distinct)}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]document.ReindexStage{document.StageIndex, document.StageVerify}, db.stages); diff != "" {
		t.Errorf("stages (-want +got):\n%s", diff)
	}
	if db.changed < 5 {
		t.Errorf("told of %d changes", db.changed)
	}
}

// Requests are as full as they can be, however small the documents.
func TestUnitsReachAcrossDocuments(t *testing.T) {
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
		t.Errorf("%d requests for %d passages, want all of them full", m.requests, n)
	}
}

func TestTokensBoundAUnitToo(t *testing.T) {
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

// What stays as it is of the passages has its vectors already.
func TestNewChunkingSendsWhatIsNew(t *testing.T) {
	t.Parallel()
	db := newFakeDatabase(oldModel, newChunking)
	for i := range 10 {
		var short strings.Builder // passages that are the same with half of the tokens
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
	kept := 0
	for hash := range db.spaces[2].passages {
		if _, ok := db.spaces[1].passages[hash]; ok {
			kept++
		}
	}
	if kept != 60 || len(m.sent) != len(db.spaces[2].passages)-kept || m.resent() != 0 {
		t.Errorf("sent %d texts of %d passages, of which %d were known", len(m.sent), len(db.spaces[2].passages), kept)
	}
	if p := db.reindex.Progress; p.Embedded != int64(len(m.sent)) || p.Reused != 60 {
		t.Errorf("progress %+v", p)
	}
}

func TestDocumentWithoutPassagesIsPlaced(t *testing.T) {
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
	if len(db.spaces[2].whole) != len(db.documents) || m.requests != 0 {
		t.Errorf("%d documents are whole, with %d requests", len(db.spaces[2].whole), m.requests)
	}
}

// Originals are the truth: what the live space has lost is cut again.
func TestDocumentThatIsDamagedIsCut(t *testing.T) {
	t.Parallel()
	for _, lost := range []int{0, 2, 20} { // 20 only after a unit or two have been placed
		db := newFilledDatabase(newModel, oldChunking, 10)
		d := db.upload(uuid.New(), sampleDocument("grain", 30), db.from)
		v := versionOf(d)
		db.spaces[1].places[v] = slices.Delete(db.spaces[1].places[v], lost, lost+1)
		all := db.upload(uuid.New(), sampleDocument("flour", 3), db.from)
		delete(db.spaces[1].places, versionOf(all))
		step, m := newStep(t, db)
		if err := step.Run(t.Context(), db.claim()); err != nil {
			t.Fatal(err)
		}
		wantBuilt(t, db)
		if db.opened != 2 || m.resent() != 0 {
			t.Errorf("%d originals were read, and %d texts sent again; want 2 and none", db.opened, m.resent())
		}
	}
}

// A reindex that goes back to the space it has left stays in its stage, by
// which it is known to.
func TestRevertingStaysInItsStage(t *testing.T) {
	t.Parallel()
	db := newFilledDatabase(newModel, oldChunking, 10)
	db.reindex.Stage = document.StageReverting
	step, _ := newStep(t, db)
	if err := step.Run(t.Context(), db.claim()); err != nil {
		t.Fatal(err)
	}
	wantBuilt(t, db)
	if len(db.stages) > 0 {
		t.Errorf("entered stages %v", db.stages)
	}
}

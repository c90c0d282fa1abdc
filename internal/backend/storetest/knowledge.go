package storetest

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func knowledge(t *testing.T, open func(t *testing.T) Store) {
	s := open(t)
	ctx := tenantContext(t, tenant.Default)
	for name, test := range map[string]func(*testing.T, context.Context, Store){
		"Known":              reusesPassages,
		"Known elsewhere":    copiesPassagesOfTheSameModel,
		"Known in part":      keepsHowMuchIsEmbedded,
		"Write twice":        writesTheSameTwice,
		"Write":              writesBatches,
		"Write any text":     writesAnyText,
		"Write again":        leavesPassagesAsTheyAre,
		"Write repeated":     placesAPassageTwice,
		"Write at once":      writesBatchesAtOnce,
		"Write common":       writesCommonPassagesAtOnce,
		"Write missing":      writesNothingWithoutItsPassages,
		"Write wrong length": writesNothingOfAnotherDimension,
		"Next attempt":       neverMixesAttempts,
		"Publish":            publishesVersions,
		"Publish nothing":    publishesEmptyVersions,
		"Publish incomplete": publishesNothingIncomplete,
		"Publish superseded": publishesNoOlderVersion,
		"Publish written":    publishesWhatItWrites,
		"Publish unwritten":  publishesNothingThatItCannotWrite,
		"Write unpublished":  writesNothingThatItCannotPublish,
		"Publish common":     publishesCommonPassagesAtOnce,
		"Warnings":           keepsWarnings,
		"Own titles":         returnsOwnTitles,
		"Warnings redone":    redoesWarnings,
		"Warnings by space":  warnsOfTheActiveSpace,
		"Warnings summary":   warnsOfTheSummary,
		"Publish at once":    showsVersionAndEndTogether,
	} {
		t.Run(name, func(t *testing.T) { test(t, ctx, s) })
	}
}

// beginKnowledge accepts a document and claims its knowledge task.
func beginKnowledge(t *testing.T, ctx context.Context, s Store, c vector.Collection, key string) task.Work {
	t.Helper()
	return claimTask(t, ctx, s, acceptUpload(t, ctx, s, uploadOf(c, key)).Job, task.KindKnowledge)
}

// writeBatch writes a batch of the work that counts as so much progress.
func writeBatch(t *testing.T, ctx context.Context, s Store, work task.Work, batch vector.Batch, progress document.KnowledgeProgress) {
	t.Helper()
	if err := s.WriteBatch(ctx, work, batch, progress); err != nil {
		t.Fatal(err)
	}
}

// nearestTo returns what is nearest to a vector.
func nearestTo(t *testing.T, ctx context.Context, s Store, c vector.Collection, values ...float32) []document.Hit {
	t.Helper()
	hits, err := s.NearestPassages(ctx, c.ActiveSpace, vector.Query{Collection: c.Name, Vector: values, Limit: 10, Threshold: -1})
	if err != nil {
		t.Fatal(err)
	}
	return hits
}

func reusesPassages(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "known")
	one, two, never := passageOf("known one", 1, 0, 0), passageOf("known two", 0, 1, 0), passageOf("never written", 1, 0, 0)
	writeBatch(t, ctx, s, beginKnowledge(t, ctx, s, c, "a"), batchOf(0, one, two), document.KnowledgeProgress{Passages: 2})
	wantKnown(t, ctx, s, c.ActiveSpace, hashesOf(one, never, two), one, two)
	wantKnown(t, ctx, s, c.ActiveSpace, hashesOf(never))
	wantKnown(t, ctx, s, c.ActiveSpace, nil)
}

// A vector that another space paid for is not paid for again.
func copiesPassagesOfTheSameModel(t *testing.T, ctx context.Context, s Store) {
	passage := passageOf("known elsewhere", 0, 0, 1)
	passage.HeadingPath, passage.Context = []string{"A", "B, {\"C\"}"}, "| x |"
	publishDocument(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "first space"), "a"), passage)

	for name, model := range map[string]document.Model{
		"another model":     {Name: "another", Dimensions: 3},
		"another dimension": {Name: "test-model", Dimensions: 4},
	} {
		c, err := s.EnsureCollection(ctx, name, model, document.Chunking{Tokens: 400})
		if err != nil {
			t.Fatal(err)
		}
		wantKnown(t, ctx, s, c.ActiveSpace, hashesOf(passage))
	}

	c, err := s.EnsureCollection(ctx, "another chunking", document.Model{Name: "test-model", Dimensions: 3}, document.Chunking{Tokens: 10})
	if err != nil {
		t.Fatal(err)
	}
	work := beginKnowledge(t, ctx, s, c, "a")
	wantKnown(t, ctx, s, c.ActiveSpace, hashesOf(passage), passage)
	batch := batchOf(0, passage)
	batch.New = nil
	progress := document.KnowledgeProgress{Passages: 1, Reused: 1}
	writeBatch(t, ctx, s, work, batch, progress)
	if err := s.Publish(ctx, work, nil, progress); err != nil {
		t.Fatal(err)
	}
	hits := nearestTo(t, ctx, s, c, 0, 0, 1)
	if len(hits) != 1 || hits[0].Score < 0.999 || hits[0].Context != passage.Context || !cmp.Equal(hits[0].HeadingPath, passage.HeadingPath) {
		t.Errorf("got %+v, want the copied passage with its vector and texts", hits)
	}
}

func writesBatches(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "write")
	work := beginKnowledge(t, ctx, s, c, "batches")
	var passages []vector.EmbeddedPassage
	for i := range 5 {
		passages = append(passages, passageOf(fmt.Sprint("batch ", i), 1, 0, float32(i)))
	}
	progress := document.KnowledgeProgress{Stage: "streaming", BytesDone: 7, BytesTotal: 1000, Passages: 3, Embedded: 2, Reused: 1}
	writeBatch(t, ctx, s, work, batchOf(3, passages[3:]...), document.KnowledgeProgress{Passages: 2}) // batches finish in any order
	writeBatch(t, ctx, s, work, batchOf(0, passages[:3]...), progress)
	if got := readJob(t, ctx, s, work.JobID).Tasks.Knowledge.KnowledgeProgress; got != progress {
		t.Errorf("progress: got %+v, want %+v", got, progress)
	}
	if got := listPassages(t, ctx, s, work.DocumentID, 10); len(got) != 0 {
		t.Errorf("before it is live: got %d passages", len(got))
	}
	writeBatch(t, ctx, s, work, vector.Batch{}, progress) // progress only
	if err := s.Publish(ctx, work, nil, document.KnowledgeProgress{Passages: 5}); err != nil {
		t.Fatal(err)
	}
	for i, got := range listPassages(t, ctx, s, work.DocumentID, 10) {
		if got.Ordinal != i || got.Content != passages[i].Content {
			t.Errorf("passage %d: got %+v, want %q", i, got, passages[i].Content)
		}
	}
}

func writesAnyText(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "any text")
	want := []vector.EmbeddedPassage{
		passageOf("{}\\'\"\t\r\n,NULL \u202e 한국어 \U0001F600", 1, 0, 0),
		passageOf(strings.Repeat("long ", 100_000), 1, 0, 0),
		passageOf("no headings", 1, 0, 0),
	}
	want[0].HeadingPath = []string{"NULL", "", `{"a",b}`, "\\"}
	want[0].Context = "| {a} | \\ |\n|---|"
	want[1].HeadingPath = []string{"One"}
	want[2].HeadingPath = nil
	publishDocument(t, ctx, s, uploadOf(c, "a"), want...)
	got := listPassages(t, ctx, s, onlyDocument(t, ctx, s, c), 10)
	for i, p := range want {
		headings := append([]string{}, p.HeadingPath...)
		if got[i].Content != p.Content || got[i].Context != p.Context || got[i].Tokens != p.Tokens || !cmp.Equal(got[i].HeadingPath, headings) {
			t.Errorf("passage %d: got %.200v", i, got[i])
		}
	}
}

// onlyDocument returns the id of a collection's only document.
func onlyDocument(t *testing.T, ctx context.Context, s Store, c vector.Collection) uuid.UUID {
	t.Helper()
	list, err := s.Documents(ctx, document.DocumentFilter{Collection: c.Name}, document.Page{Limit: 2})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("got %d documents, %v", len(list.Items), err)
	}
	return list.Items[0].ID
}

func leavesPassagesAsTheyAre(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "again")
	first := passageOf("written twice", 1, 0, 0)
	publishDocument(t, ctx, s, uploadOf(c, "a"), first)
	second := first
	second.Vector = []float32{0, 1, 0}
	publishDocument(t, ctx, s, uploadOf(c, "b"), second)
	hits := nearestTo(t, ctx, s, c, 1, 0, 0)
	if len(hits) != 1 || hits[0].Score < 0.999 || len(hits[0].AlsoIn) != 1 {
		t.Errorf("got %+v, want one passage with its first vector, in two documents", hits)
	}
}

func placesAPassageTwice(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "repeated")
	p := passageOf("repeated", 1, 0, 0)
	work := beginKnowledge(t, ctx, s, c, "a")
	writeBatch(t, ctx, s, work, batchOf(0, p, p), document.KnowledgeProgress{Passages: 2})
	again := batchOf(2, p)
	again.New = nil
	writeBatch(t, ctx, s, work, again, document.KnowledgeProgress{Passages: 3})
	if err := s.Publish(ctx, work, nil, document.KnowledgeProgress{Passages: 3}); err != nil {
		t.Fatal(err)
	}
	if got := listPassages(t, ctx, s, work.DocumentID, 10); len(got) != 3 {
		t.Errorf("got %d passages, want 3", len(got))
	}
}

func writesBatchesAtOnce(t *testing.T, ctx context.Context, s Store) {
	work := beginKnowledge(t, ctx, s, ensureCollection(t, ctx, s, "at once"), "a")
	const n = 8
	concurrently(t, n, func(i int) error {
		return s.WriteBatch(ctx, work, batchOf(2*i, passageOf(fmt.Sprint("at once ", i), 1, 0, 0), passageOf("in all", 1, 0, 0)), document.KnowledgeProgress{})
	})
	if err := s.Publish(ctx, work, nil, document.KnowledgeProgress{Passages: 2 * n}); err != nil {
		t.Error(err)
	}
}

// Documents that share passages are written at the same time, each in its own
// order: none may wait for another in a circle.
func writesCommonPassagesAtOnce(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "common")
	const n = 6
	works := make([]task.Work, n)
	for i := range works {
		works[i] = beginKnowledge(t, ctx, s, c, fmt.Sprint(i))
	}
	for round := range 5 {
		concurrently(t, n, func(i int) error {
			passages := make([]vector.EmbeddedPassage, 20)
			for j := range passages {
				passages[(j*(2*i+1))%len(passages)] = passageOf(fmt.Sprint("common ", round, " ", j), 1, 0, 0)
			}
			// Strides that share a factor with the length leave gaps.
			kept := passages[:0]
			for _, p := range passages {
				if p.Content != "" {
					kept = append(kept, p)
				}
			}
			return s.WriteBatch(ctx, works[i], batchOf(20*round, kept...), document.KnowledgeProgress{})
		})
	}
}

func writesNothingWithoutItsPassages(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "missing")
	work := beginKnowledge(t, ctx, s, c, "a")
	before := readJob(t, ctx, s, work.JobID)
	fresh := passageOf("fresh", 1, 0, 0)
	batch := batchOf(0, fresh, passageOf("swept away", 1, 0, 0))
	batch.New = batch.New[:1]
	wantFault(t, s.WriteBatch(ctx, work, batch, document.KnowledgeProgress{Passages: 2}), fault.Conflict)
	wantKnown(t, ctx, s, c.ActiveSpace, hashesOf(fresh))
	if diff := cmp.Diff(before, readJob(t, ctx, s, work.JobID)); diff != "" {
		t.Errorf("job (-before +after):\n%s", diff)
	}
	// The work is still ours, and nothing is in the way of it.
	writeBatch(t, ctx, s, work, batchOf(0, fresh), document.KnowledgeProgress{Passages: 1})
	if err := s.Publish(ctx, work, nil, document.KnowledgeProgress{Passages: 1}); err != nil {
		t.Error(err)
	}
}

func writesNothingOfAnotherDimension(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "wrong length")
	work := beginKnowledge(t, ctx, s, c, "a")
	wrong := passageOf("wrong", 1, 0)
	if err := s.WriteBatch(ctx, work, batchOf(0, passageOf("right", 1, 0, 0), wrong), document.KnowledgeProgress{Passages: 2}); err == nil {
		t.Error("a vector of 2 dimensions was written among those of 3")
	}
	wantKnown(t, ctx, s, c.ActiveSpace, hashesOf(passageOf("right"), wrong))
}

func neverMixesAttempts(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "attempts")
	job := acceptUpload(t, ctx, s, uploadOf(c, "a")).Job
	first, err := s.Claim(ctx, taskRefOf(t, ctx, job, task.KindKnowledge), -leaseTime)
	if err != nil {
		t.Fatal(err)
	}
	paid := passageOf("paid for", 1, 0, 0)
	writeBatch(t, ctx, s, first, batchOf(0, paid, passageOf("cut otherwise", 1, 0, 0)), document.KnowledgeProgress{Passages: 2})

	second := claimTask(t, ctx, s, job, task.KindKnowledge)
	wantKnown(t, ctx, s, c.ActiveSpace, hashesOf(paid), paid)
	batch := batchOf(0, paid)
	batch.New = nil
	writeBatch(t, ctx, s, second, batch, document.KnowledgeProgress{Passages: 1})
	if err := s.Publish(ctx, second, nil, document.KnowledgeProgress{Passages: 1}); err != nil {
		t.Fatal(err)
	}
	wantContents(t, nearest(t, ctx, s, c, vector.Query{}), "paid for")
}

func publishesVersions(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "publish")
	first := publishDocument(t, ctx, s, uploadOf(c, "a"), passageOf("publish old", 1, 0, 0))
	upload := uploadOf(c, "a")
	job := acceptUpload(t, ctx, s, upload).Job
	work := claimTask(t, ctx, s, job, task.KindKnowledge)
	progress := document.KnowledgeProgress{Stage: "done", BytesDone: 9, BytesTotal: 9, Passages: 1, Embedded: 1}
	writeBatch(t, ctx, s, work, batchOf(0, passageOf("publish new", 1, 0, 0)), document.KnowledgeProgress{})
	wantContents(t, nearest(t, ctx, s, c, vector.Query{}), "publish old")
	if err := s.Publish(ctx, work, nil, progress); err != nil {
		t.Fatal(err)
	}

	wantContents(t, nearest(t, ctx, s, c, vector.Query{}), "publish new")
	d := readDocument(t, ctx, s, first.Document.ID)
	if d.Version != 2 || d.State != document.DocumentReady || d.Object != upload.Object || !d.UpdatedAt.After(d.CreatedAt) {
		t.Errorf("document: got %+v, want version 2, ready", d)
	}
	got := readJob(t, ctx, s, job.ID)
	want := document.KnowledgeTask{Task: document.Task{State: document.JobSucceeded, Attempt: 1}, KnowledgeProgress: progress}
	if diff := cmp.Diff(want, got.Tasks.Knowledge); diff != "" || got.State != document.JobRunning {
		t.Errorf("job: got %s; task (-want +got):\n%s", got.State, diff)
	}
	wantFault(t, s.Publish(ctx, work, nil, progress), fault.LeaseLost)
}

func publishesEmptyVersions(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "publish nothing")
	accepted := acceptUpload(t, ctx, s, uploadOf(c, "front matter only"))
	publishJob(t, ctx, s, accepted.Job)
	if d := readDocument(t, ctx, s, accepted.Document.ID); d.State != document.DocumentReady {
		t.Errorf("got %s, want ready", d.State)
	}
}

func publishesNothingIncomplete(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "publish incomplete")
	work := beginKnowledge(t, ctx, s, c, "a")
	writeBatch(t, ctx, s, work, batchOf(0, passageOf("incomplete", 1, 0, 0)), document.KnowledgeProgress{Passages: 1})
	before := readJob(t, ctx, s, work.JobID)
	for _, passages := range []int64{0, 2} {
		if err := s.Publish(ctx, work, nil, document.KnowledgeProgress{Passages: passages}); err == nil {
			t.Errorf("published %d passages where there is 1", passages)
		}
	}
	if diff := cmp.Diff(before, readJob(t, ctx, s, work.JobID)); diff != "" {
		t.Errorf("job (-before +after):\n%s", diff)
	}
	if d := readDocument(t, ctx, s, work.DocumentID); d.State != document.DocumentPending {
		t.Errorf("document: got %s, want pending", d.State)
	}
	if err := s.Publish(ctx, work, nil, document.KnowledgeProgress{Passages: 1}); err != nil {
		t.Error(err)
	}
}

func publishesNoOlderVersion(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "publish superseded")
	work := beginKnowledge(t, ctx, s, c, "a")
	writeBatch(t, ctx, s, work, batchOf(0, passageOf("slow and old", 1, 0, 0)), document.KnowledgeProgress{Passages: 1})
	publishDocument(t, ctx, s, uploadOf(c, "a"), passageOf("fast and new", 1, 0, 0))
	if err := s.Publish(ctx, work, nil, document.KnowledgeProgress{Passages: 1}); err != nil {
		t.Fatal(err)
	}
	wantContents(t, nearest(t, ctx, s, c, vector.Query{}), "fast and new")
	if d := readDocument(t, ctx, s, work.DocumentID); d.Version != 2 || d.State != document.DocumentReady {
		t.Errorf("document: got version %d, %s; want version 2, ready", d.Version, d.State)
	}
	if task := readJob(t, ctx, s, work.JobID).Tasks.Knowledge; task.State != document.JobCancelled || task.Error != "superseded by version 2" {
		t.Errorf("task: got %+v, want it cancelled", task)
	}
}

// A reader who sees that the task is done finds the version live.
func showsVersionAndEndTogether(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "publish at once")
	for range 5 {
		work := beginKnowledge(t, ctx, s, c, "a")
		writeBatch(t, ctx, s, work, batchOf(0, passageOf("at once", 1, 0, 0)), document.KnowledgeProgress{Passages: 1})
		done := make(chan error, 1)
		go func() { done <- s.Publish(ctx, work, nil, document.KnowledgeProgress{Passages: 1}) }()
		for readJob(t, ctx, s, work.JobID).Tasks.Knowledge.State != document.JobSucceeded {
			if t.Context().Err() != nil {
				t.Fatal("the task never ended")
			}
		}
		if d := readDocument(t, ctx, s, work.DocumentID); d.Version != work.Version {
			t.Errorf("the task has ended, and readers see version %d instead of %d", d.Version, work.Version)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

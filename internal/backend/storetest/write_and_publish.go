package storetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// writeAndPublish has a version written and published in one go.
func writeAndPublish(t *testing.T, ctx context.Context, s Store, work task.Work, batch vector.Batch, progress document.KnowledgeProgress, warnings ...document.Warning) {
	t.Helper()
	if published, err := s.WriteAndPublish(ctx, work, batch, progress, warnings...); err != nil || !published {
		t.Fatalf("write and publish: %v, %v", published, err)
	}
}

func publishesWhatItWrites(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "write and publish")
	first := publishDocument(t, ctx, s, uploadOf(c, "a"), passageOf("written old", 1, 0, 0), passageOf("kept", 1, 0, 1))
	upload := uploadOf(c, "a")
	job := acceptUpload(t, ctx, s, upload).Job
	work := claimTask(t, ctx, s, job, task.KindKnowledge)
	batch := batchOf(0, passageOf("written new", 1, 0, 0), passageOf("kept"), passageOf("written new", 1, 0, 0))
	batch.New = batch.New[:1]
	progress := document.KnowledgeProgress{Stage: "done", BytesDone: 9, BytesTotal: 9, Passages: 3, Embedded: 1, Reused: 2}
	warning := document.Warning{Code: "passage_truncated", Detail: "cut", End: 3}
	writeAndPublish(t, ctx, s, work, batch, progress, warning)

	wantContents(t, nearest(t, ctx, s, c, vector.Query{}), "written new", "kept")
	d := readDocument(t, ctx, s, first.Document.ID)
	if d.Version != 2 || d.State != document.DocumentReady || d.Object != upload.Object || len(d.Warnings) != 1 {
		t.Errorf("document: got %+v, want version 2, ready, with a warning", d)
	}
	got := readJob(t, ctx, s, job.ID)
	want := document.KnowledgeTask{Task: document.Task{State: document.JobSucceeded, Attempt: 1}, KnowledgeProgress: progress}
	if diff := cmp.Diff(want, got.Tasks.Knowledge); diff != "" || got.State != document.JobRunning {
		t.Errorf("job: got %s; task (-want +got):\n%s", got.State, diff)
	}
	if got := listPassages(t, ctx, s, work.DocumentID, 10); len(got) != 3 || got[1].Content != "kept" {
		t.Errorf("passages: got %+v", got)
	}
	if published, err := s.WriteAndPublish(ctx, work, batch, progress); published || !fault.Is(err, fault.LeaseLost) {
		t.Errorf("once more: %v, %v, want the lease lost", published, err)
	}
}

// What is not whole, or lacks a passage, changes nothing.
func publishesNothingThatItCannotWrite(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "write and publish incomplete")
	work := beginKnowledge(t, ctx, s, c, "a")
	before := readJob(t, ctx, s, work.JobID)
	fresh := passageOf("publish fresh", 1, 0, 0)
	lacking := batchOf(0, fresh, passageOf("publish swept away", 1, 0, 0))
	lacking.New = lacking.New[:1]
	published, err := s.WriteAndPublish(ctx, work, lacking, document.KnowledgeProgress{Passages: 2})
	wantFault(t, err, fault.Conflict)
	if published {
		t.Error("published without a passage")
	}
	if published, err = s.WriteAndPublish(ctx, work, batchOf(0, fresh), document.KnowledgeProgress{Passages: 2}); err == nil || published {
		t.Errorf("2 passages where there is 1: %v, %v", published, err)
	}
	wantKnown(t, ctx, s, c.ActiveSpace, hashesOf(fresh))
	if diff := cmp.Diff(before, readJob(t, ctx, s, work.JobID)); diff != "" {
		t.Errorf("job (-before +after):\n%s", diff)
	}
	writeAndPublish(t, ctx, s, work, batchOf(0, fresh), document.KnowledgeProgress{Passages: 1})
}

func writesNothingThatItCannotPublish(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "write and publish superseded")
	work := beginKnowledge(t, ctx, s, c, "a")
	publishDocument(t, ctx, s, uploadOf(c, "a"), passageOf("written fast", 1, 0, 0))
	wantUnchangedTask(t, ctx, s, work, passageOf("written slowly", 1, 0, 0))
	if err := s.Publish(ctx, work, nil, document.KnowledgeProgress{}); err != nil {
		t.Fatal(err)
	}
	wantContents(t, nearest(t, ctx, s, c, vector.Query{}), "written fast")
}

// wantUnchangedTask fails unless a version of one passage is neither written nor
// published, and its task is as it was.
func wantUnchangedTask(t *testing.T, ctx context.Context, s Store, work task.Work, passage vector.EmbeddedPassage) {
	t.Helper()
	before := readJob(t, ctx, s, work.JobID)
	if published, err := s.WriteAndPublish(ctx, work, batchOf(0, passage), document.KnowledgeProgress{Passages: 1}); err != nil || published {
		t.Errorf("write and publish: %v, %v, want it left alone", published, err)
	}
	wantKnown(t, ctx, s, work.Space, hashesOf(passage))
	if diff := cmp.Diff(before, readJob(t, ctx, s, work.JobID)); diff != "" {
		t.Errorf("job (-before +after):\n%s", diff)
	}
}

// Documents with passages in common are written at once, and each is whole.
func publishesCommonPassagesAtOnce(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "write and publish at once")
	const n = 6
	works := make([]task.Work, n)
	for i := range works {
		works[i] = beginKnowledge(t, ctx, s, c, fmt.Sprint(i))
	}
	concurrently(t, n, func(i int) error {
		passages := make([]vector.EmbeddedPassage, 20)
		for j := range passages {
			passages[(j+3*i)%len(passages)] = passageOf(fmt.Sprint("published at once ", j), 1, 0, 0)
		}
		published, err := s.WriteAndPublish(ctx, works[i], batchOf(0, passages...), document.KnowledgeProgress{Passages: int64(len(passages))})
		if err == nil && !published {
			err = fmt.Errorf("document %d is not published", i)
		}
		return err
	})
	for _, work := range works {
		if got := listPassages(t, ctx, s, work.DocumentID, 100); len(got) != 20 {
			t.Errorf("%s has %d passages, want 20", work.Key, len(got))
		}
	}
}

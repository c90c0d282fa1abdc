package storetest

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// oddText is a text that databases refuse in parts, and storedOddText what they store of it.
const (
	oddText       = "odd: \x00\xff'quoted'"
	storedOddText = "odd: \uFFFD\uFFFD'quoted'"
)

// leaseTime is longer than any test; a lease of -leaseTime has run out.
const leaseTime = time.Hour

// tenantContext returns a context for work in the name of a tenant.
func tenantContext(t *testing.T, id string) context.Context { return tenant.With(t.Context(), id) }

// ensureCollection returns the collection of that name, for vectors of 3 dimensions.
func ensureCollection(t *testing.T, ctx context.Context, s Store, name string) vector.Collection {
	t.Helper()
	c, err := s.EnsureCollection(ctx, name, document.Model{Name: "test-model", Dimensions: 3}, document.Chunking{Tokens: 400})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// uploadOf returns an upload under the key that is like no other.
func uploadOf(c vector.Collection, key string) original.Upload {
	object := uuid.NewString()
	hash := document.HashText(object)
	return original.Upload{
		Collection: c,
		Key:        key,
		Title:      "Title of " + key,
		Metadata:   json.RawMessage(`{}`),
		MediaType:  "text/markdown",
		Object:     object,
		Size:       1000,
		SHA256:     hex.EncodeToString(hash[:]),
	}
}

// beginUpload notes that the upload's object is about to be written.
func beginUpload(t *testing.T, ctx context.Context, s Store, upload original.Upload) {
	t.Helper()
	if err := s.BeginUpload(ctx, upload.Object); err != nil {
		t.Fatal(err)
	}
}

// acceptUpload has the store accept an upload, from its note on.
func acceptUpload(t *testing.T, ctx context.Context, s Store, upload original.Upload) document.Accepted {
	t.Helper()
	beginUpload(t, ctx, s, upload)
	accepted, err := s.AcceptUpload(ctx, upload)
	if err != nil {
		t.Fatal(err)
	}
	if accepted.Unchanged || accepted.Replayed {
		if err := s.AbortUpload(ctx, upload.Object); err != nil {
			t.Fatal(err)
		}
	}
	return accepted
}

// taskRefOf returns the reference to a task of an accepted version.
func taskRefOf(t *testing.T, ctx context.Context, job document.Job, kind task.Kind) task.Ref {
	t.Helper()
	id, err := tenant.From(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return task.Ref{Tenant: id, DocumentID: job.DocumentID, Version: job.Version, Kind: kind}
}

// claimTask claims a task of a job.
func claimTask(t *testing.T, ctx context.Context, s Store, job document.Job, kind task.Kind) task.Work {
	t.Helper()
	work, err := s.Claim(ctx, taskRefOf(t, ctx, job, kind), leaseTime)
	if err != nil {
		t.Fatal(err)
	}
	return work
}

// passageOf returns a passage of that text.
func passageOf(text string, values ...float32) vector.EmbeddedPassage {
	return vector.EmbeddedPassage{
		Hash:        document.HashText(text),
		PassageText: document.PassageText{HeadingPath: []string{"Heading"}, Content: text, Tokens: len(text)},
		Vector:      values,
	}
}

// batchOf returns new passages that stand one after another, with a byte
// between them, from the given ordinal on.
func batchOf(first int, passages ...vector.EmbeddedPassage) vector.Batch {
	batch := vector.Batch{New: passages}
	var start int64
	for i, p := range passages {
		end := start + int64(len(p.Content))
		batch.Entries = append(batch.Entries, vector.ManifestEntry{Hash: p.Hash, Ordinal: first + i, Start: start, End: end})
		start = end + 1
	}
	return batch
}

// publishJob does the knowledge task of a job: it writes the passages and makes
// the version live.
func publishJob(t *testing.T, ctx context.Context, s Store, job document.Job, passages ...vector.EmbeddedPassage) {
	t.Helper()
	work := claimTask(t, ctx, s, job, task.KindKnowledge)
	progress := document.KnowledgeProgress{Stage: "done", Passages: int64(len(passages)), Embedded: int64(len(passages))}
	if err := s.WriteBatch(ctx, work, batchOf(0, passages...), progress); err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(ctx, work, nil, progress); err != nil {
		t.Fatal(err)
	}
}

// finishSummary does the summary task of a job.
func finishSummary(t *testing.T, ctx context.Context, s Store, job document.Job, text string) {
	t.Helper()
	work := claimTask(t, ctx, s, job, task.KindSummary)
	summary := document.Summary{DocumentID: job.DocumentID, Version: job.Version, Model: "test-summaries", Summary: text}
	if err := s.FinishSummary(ctx, work, summary, document.SummaryProgress{Sections: 1, SectionsDone: 1}); err != nil {
		t.Fatal(err)
	}
}

// publishDocument accepts a document and does the whole of its job.
func publishDocument(t *testing.T, ctx context.Context, s Store, upload original.Upload, passages ...vector.EmbeddedPassage) document.Accepted {
	t.Helper()
	accepted := acceptUpload(t, ctx, s, upload)
	publishJob(t, ctx, s, accepted.Job, passages...)
	finishSummary(t, ctx, s, accepted.Job, "Summary of "+upload.Key)
	return accepted
}

// wantFault checks that err is a failure of that kind.
func wantFault(t *testing.T, err error, kind fault.Kind) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Errorf("got error %v, want one of kind %s", err, kind)
	}
}

// failJob ends both tasks of a job in failure.
func failJob(t *testing.T, ctx context.Context, s Store, job document.Job) {
	t.Helper()
	for _, kind := range task.JobKinds {
		work := claimTask(t, ctx, s, job, kind)
		if err := s.RecordOutcome(ctx, work, task.Outcome{Verdict: task.VerdictFail, Error: "broken"}); err != nil {
			t.Fatal(err)
		}
	}
}

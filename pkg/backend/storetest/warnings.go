package storetest

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// keepsWarnings looks at where warnings are seen: at the answer to an upload,
// the job and the document, and what a second Publish makes of them.
func keepsWarnings(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "warnings")
	upload := uploadOf(c, "warned")
	upload.IdempotencyKey, upload.Fingerprint = "warned", "f"
	ingest := document.Warning{Code: "front_matter_unreadable", Detail: "line 2: \"it\" 'said' \U0001F600", Start: 0, End: 30}
	upload.Warnings = document.Warnings{ingest}
	accepted := accept(t, ctx, s, upload)
	wantWarnings(t, "the answer's job", accepted.Job.Warnings, ingest)
	wantWarnings(t, "the answer's document", accepted.Document.Warnings, ingest)

	again := uploadOf(c, "warned")
	again.SHA256, again.Warnings = upload.SHA256, nil
	unchanged := accept(t, ctx, s, again)
	if !unchanged.Unchanged {
		t.Error("without its warnings the upload counts as changed")
	}
	wantWarnings(t, "the answer to the same upload", unchanged.Job.Warnings, ingest)
	replay := uploadOf(c, "warned")
	replay.IdempotencyKey, replay.Fingerprint = "warned", "f"
	wantWarnings(t, "the answer under the same idempotency key", accept(t, ctx, s, replay).Job.Warnings, ingest)

	first := document.Warning{Code: "passage_truncated", Detail: "first", Start: 40, End: 50}
	publishWarned(t, ctx, s, accepted.Job, first)
	wantWarnings(t, "the job", readJob(t, ctx, s, accepted.Job.ID).Warnings, ingest, first)
	wantWarnings(t, "the document", readDocument(t, ctx, s, accepted.Document.ID).Warnings, ingest, first)
	list, err := s.Documents(ctx, document.DocumentFilter{Collection: c.Name}, document.Page{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	wantWarnings(t, "the list's document", list.Items[0].Warnings, ingest, first)
	wantWarnings(t, "the list's job", newestJobs(t, ctx, s, c.Name, 1)[0].Warnings, ingest, first)
}

// redoesWarnings has a reindex make the next version of one with warnings: those
// of ingest, which does not run again, go with it.
func redoesWarnings(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "redone warnings")
	upload := uploadOf(c, "redone")
	upload.Warnings = document.Warnings{{Code: "ingest"}}
	accepted := accept(t, ctx, s, upload)
	publishWarned(t, ctx, s, accepted.Job, document.Warning{Code: "a"}, document.Warning{Code: "b"})
	fail := claim(t, ctx, s, accepted.Job, document.Summarise)
	settle(t, ctx, s, fail, document.Outcome{Verdict: document.VerdictFail, Error: "broken"})

	_, jobs := redo(t, ctx, s, document.ReindexRequest{Collection: c.Name, Force: true})
	redone := jobs[0]
	wantWarnings(t, "the redone job, before it runs", redone.Warnings, document.Warning{Code: "ingest"})
	publishWarned(t, ctx, s, redone, document.Warning{Code: "b"}, document.Warning{Code: "ingest"})
	wantWarnings(t, "the redone job", readJob(t, ctx, s, redone.ID).Warnings, document.Warning{Code: "ingest"}, document.Warning{Code: "b"})
}

// publishWarned does the knowledge task of a job, with warnings.
func publishWarned(t *testing.T, ctx context.Context, s Store, job document.Job, warnings ...document.Warning) {
	t.Helper()
	work := claim(t, ctx, s, job, document.Knowledge)
	progress := document.KnowledgeProgress{Stage: "done", Passages: 1, Embedded: 1}
	if err := s.Write(ctx, work, batchOf(0, passageOf("warned", 1, 0, 0)), progress); err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(ctx, work, nil, progress, warnings...); err != nil {
		t.Fatal(err)
	}
}

func wantWarnings(t *testing.T, of string, got document.Warnings, want ...document.Warning) {
	t.Helper()
	if diff := cmp.Diff(document.Warnings(want), got); diff != "" {
		t.Errorf("warnings of %s (-want +got):\n%s", of, diff)
	}
}

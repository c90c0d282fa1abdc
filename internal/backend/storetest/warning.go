package storetest

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// keepsWarnings looks at where warnings are seen: at the answer to an upload,
// the job and the document, and what a second Publish makes of them.
func keepsWarnings(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "warnings")
	upload := uploadOf(c, "warned")
	upload.IdempotencyKey, upload.Fingerprint = "warned", "f"
	ingest := document.Warning{Code: "front_matter_unreadable", Detail: "line 2: \"it\" 'said' \U0001F600", Start: 0, End: 30}
	upload.Warnings = document.Warnings{ingest}
	accepted := acceptUpload(t, ctx, s, upload)
	wantWarnings(t, "the answer's job", accepted.Job.Warnings, ingest)
	wantWarnings(t, "the answer's document", accepted.Document.Warnings, ingest)

	again := uploadOf(c, "warned")
	again.SHA256, again.Warnings = upload.SHA256, nil
	unchanged := acceptUpload(t, ctx, s, again)
	if !unchanged.Unchanged {
		t.Error("without its warnings the upload counts as changed")
	}
	wantWarnings(t, "the answer to the same upload", unchanged.Job.Warnings, ingest)
	replay := uploadOf(c, "warned")
	replay.IdempotencyKey, replay.Fingerprint = "warned", "f"
	wantWarnings(t, "the answer under the same idempotency key", acceptUpload(t, ctx, s, replay).Job.Warnings, ingest)

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
	c := ensureCollection(t, ctx, s, "redone warnings")
	upload := uploadOf(c, "redone")
	upload.Warnings = document.Warnings{{Code: "ingest"}}
	accepted := acceptUpload(t, ctx, s, upload)
	publishWarned(t, ctx, s, accepted.Job, document.Warning{Code: "a"}, document.Warning{Code: "b"})
	fail := claimTask(t, ctx, s, accepted.Job, task.KindSummary)
	recordOutcome(t, ctx, s, fail, task.Outcome{Verdict: task.VerdictFail, Error: "broken"})

	_, jobs := runRequeue(t, ctx, s, document.ReindexRequest{Collection: c.Name, Force: true})
	redone := jobs[0]
	wantWarnings(t, "the redone job, before it runs", redone.Warnings, document.Warning{Code: "ingest"})
	publishWarned(t, ctx, s, redone, document.Warning{Code: "b"}, document.Warning{Code: "ingest"})
	wantWarnings(t, "the redone job", readJob(t, ctx, s, redone.ID).Warnings, document.Warning{Code: "ingest"}, document.Warning{Code: "b"})
}

// warnsOfTheActiveSpace has a model cut passages, which the next one takes, or the
// other way round: a version has the warnings of the space that is live.
func warnsOfTheActiveSpace(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "warnings of spaces")
	old, next := document.Warning{Code: "passage_truncated", Detail: "by the old model"}, document.Warning{Code: "passage_truncated", Detail: "by the next"}
	own := document.Warning{Code: "ingest"}
	upload := func(key string) document.Accepted {
		u := uploadOf(c, key)
		u.Warnings = document.Warnings{own}
		return acceptUpload(t, ctx, s, u)
	}
	cutByBoth, cutByNext, cutByOld, later := upload("both"), upload("next"), upload("old"), document.Accepted{}
	publishWarned(t, ctx, s, cutByBoth.Job, old)
	publishWarned(t, ctx, s, cutByNext.Job)
	publishWarned(t, ctx, s, cutByOld.Job, old)
	want := func(when string, accepted document.Accepted, want ...document.Warning) {
		t.Helper()
		want = append([]document.Warning{own}, want...)
		wantWarnings(t, when+": the document", readDocument(t, ctx, s, accepted.Document.ID).Warnings, want...)
		wantWarnings(t, when+": the job", readJob(t, ctx, s, accepted.Job.ID).Warnings, want...)
	}

	work := startReindex(t, ctx, s, changeModelRequest(c))
	for _, of := range missingVersions(t, ctx, s, work) {
		rebuilt := spaceWriteOf(of, passagesIn(work.Space, "warned")...)
		if of.Key != "old" {
			rebuilt.Versions[0].Warnings = document.Warnings{next}
		}
		writeToSpace(t, ctx, s, work, rebuilt)
	}
	later = upload("later") // while both are written
	publication := claimTask(t, ctx, s, later.Job, task.KindKnowledge)
	placed, err := writeInSpace(ctx, s, publication.OtherSpaces[0], publication, "later")
	if err != nil {
		t.Fatal(err)
	}
	placed.Warnings = document.Warnings{next}
	if _, err := writeInSpace(ctx, s, publication.Space, publication, "later"); err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(ctx, publication, []vector.SpaceVersion{placed}, document.KnowledgeProgress{Passages: 1}); err != nil {
		t.Fatal(err)
	}
	want("before the switch", cutByBoth, old)
	want("before the switch", cutByNext)
	want("before the switch", cutByOld, old)
	want("before the switch", later)
	reindex := activateSpace(t, ctx, s, work, leaseTime)
	want("after the switch", cutByBoth, next)
	want("after the switch", cutByNext, next)
	want("after the switch", cutByOld)
	want("after the switch", later, next)
	revertReindex(t, ctx, s, reindex.ID, leaseTime)
	want("after going back", cutByBoth, old)
	want("after going back", later)
}

// warnsOfTheSummary has a summary task end with warnings, which stand behind
// those of the passages.
func warnsOfTheSummary(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "summary warnings")
	accepted := acceptUpload(t, ctx, s, uploadOf(c, "extracted"))
	cut, extracted := document.Warning{Code: "passage_truncated"}, document.Warning{Code: "summary_extractive", Detail: `of "a"`}
	work := claimTask(t, ctx, s, accepted.Job, task.KindSummary)
	if err := s.FinishSummary(ctx, work, document.Summary{Model: "extractive", Summary: "a"}, document.SummaryProgress{}, extracted); err != nil {
		t.Fatal(err)
	}
	wantWarnings(t, "the job", readJob(t, ctx, s, accepted.Job.ID).Warnings, extracted)
	publishWarned(t, ctx, s, accepted.Job, cut)
	wantWarnings(t, "the job", readJob(t, ctx, s, accepted.Job.ID).Warnings, cut, extracted)
	wantWarnings(t, "the document", readDocument(t, ctx, s, accepted.Document.ID).Warnings, cut, extracted)

	_, jobs := runRequeue(t, ctx, s, document.ReindexRequest{Collection: c.Name, Force: true})
	wantWarnings(t, "the redone job, before it runs", jobs[0].Warnings)
	finishSummary(t, ctx, s, jobs[0], "The model takes it now.")
	wantWarnings(t, "the redone job", readJob(t, ctx, s, jobs[0].ID).Warnings)
}

// publishWarned does the knowledge task of a job, with warnings.
func publishWarned(t *testing.T, ctx context.Context, s Store, job document.Job, warnings ...document.Warning) {
	t.Helper()
	work := claimTask(t, ctx, s, job, task.KindKnowledge)
	progress := document.KnowledgeProgress{Stage: "done", Passages: 1, Embedded: 1}
	if err := s.WriteBatch(ctx, work, batchOf(0, passageOf("warned", 1, 0, 0)), progress); err != nil {
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

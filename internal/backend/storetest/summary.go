package storetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func summaries(t *testing.T, open func(t *testing.T) Store) {
	s := open(t)
	ctx := tenantContext(t, tenant.Default)
	for name, test := range map[string]func(*testing.T, context.Context, Store){
		"Sections":         keepsSectionSummaries,
		"Sections at once": keepsOneSummaryOfASection,
		"Sections outlive": keepsSectionSummariesBeyondTheirVersion,
		"Sections twice":   keepsTheFirstSummaryOfASection,
		"Any text":         keepsSummariesOfAnyText,
		"Finish":           finishesSummaries,
		"Stale":            refusesStaleSummaries,
		"Mode":             setsSummaries,
		"On demand":        makesSummariesOnDemand,
		"Off":              refusesSummariesThatAreOff,
	} {
		t.Run(name, func(t *testing.T) { test(t, ctx, s) })
	}
}

// wantSections checks which of the nodes have which summaries.
func wantSections(t *testing.T, ctx context.Context, s Store, nodes []document.ContentHash, want map[document.ContentHash]string) {
	t.Helper()
	got, err := s.ReuseSectionSummaries(ctx, task.Work{}, nodes)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("section summaries (-want +got):\n%s", diff)
	}
}

// beginSummary accepts a document and claims its summary task.
func beginSummary(t *testing.T, ctx context.Context, s Store, key string) task.Work {
	t.Helper()
	return claimTask(t, ctx, s, acceptUpload(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "summaries"), key)).Job, task.KindSummary)
}

func saveSection(t *testing.T, ctx context.Context, s Store, work task.Work, node document.ContentHash, text string, progress document.SummaryProgress) {
	t.Helper()
	if err := s.SaveSectionSummaries(ctx, work, map[document.ContentHash]string{node: text}, progress); err != nil {
		t.Fatal(err)
	}
}

func keepsSectionSummaries(t *testing.T, ctx context.Context, s Store) {
	one, two, never := document.HashText("node one"), document.HashText("node two"), document.HashText("node never")
	work := beginSummary(t, ctx, s, "sections")
	wantSections(t, ctx, s, []document.ContentHash{one, two}, map[document.ContentHash]string{})
	progress := document.SummaryProgress{Sections: 3, SectionsDone: 2, SectionsReused: 1}
	saveSection(t, ctx, s, work, one, "first\x00\xff", document.SummaryProgress{Sections: 3, SectionsDone: 1})
	if err := s.SaveSectionSummaries(ctx, work, map[document.ContentHash]string{one: "first", two: "요약"}, progress); err != nil {
		t.Fatal(err)
	}
	wantSections(t, ctx, s, []document.ContentHash{two, never}, map[document.ContentHash]string{two: "요약"})
	wantSections(t, ctx, s, nil, map[document.ContentHash]string{})
	if got := readJob(t, ctx, s, work.JobID).Tasks.Summary; got.SummaryProgress != progress || got.State != document.JobRunning {
		t.Errorf("task: got %+v, want it running, with progress %+v", got, progress)
	}
}

func keepsOneSummaryOfASection(t *testing.T, ctx context.Context, s Store) {
	node := document.HashText("node at once")
	work := beginSummary(t, ctx, s, "at once")
	concurrently(t, 6, func(int) error {
		texts := map[document.ContentHash]string{node: "text"}
		for i := range 20 {
			texts[document.HashText(fmt.Sprint("node beside ", i))] = "beside"
		}
		return s.SaveSectionSummaries(ctx, work, texts, document.SummaryProgress{})
	})
	wantSections(t, ctx, s, []document.ContentHash{node}, map[document.ContentHash]string{node: "text"})
}

func keepsSectionSummariesBeyondTheirVersion(t *testing.T, ctx context.Context, s Store) {
	node := document.HashText("node outlives")
	work := beginSummary(t, ctx, s, "outlives")
	saveSection(t, ctx, s, work, node, "text", document.SummaryProgress{})
	if err := s.DeleteDocument(ctx, work.DocumentID); err != nil {
		t.Fatal(err)
	}
	collectVersion(t, ctx, s, work.DocumentID, 1)
	wantSections(t, ctx, s, []document.ContentHash{node}, map[document.ContentHash]string{node: "text"})
}

// A section's summary belongs to its hash: whoever has read it must not see another one later.
func keepsTheFirstSummaryOfASection(t *testing.T, ctx context.Context, s Store) {
	node := document.HashText("node twice")
	saveSection(t, ctx, s, beginSummary(t, ctx, s, "twice, first"), node, "first", document.SummaryProgress{})
	saveSection(t, ctx, s, beginSummary(t, ctx, s, "twice, second"), node, "second", document.SummaryProgress{})
	wantSections(t, ctx, s, []document.ContentHash{node}, map[document.ContentHash]string{node: "first"})
}

// A model may answer with any bytes.
func keepsSummariesOfAnyText(t *testing.T, ctx context.Context, s Store) {
	accepted := acceptUpload(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "summaries"), "any text"))
	publishJob(t, ctx, s, accepted.Job, passageOf("one", 1, 0, 0))
	work := claimTask(t, ctx, s, accepted.Job, task.KindSummary)
	node := document.HashText("node of any text")
	saveSection(t, ctx, s, work, node, oddText, document.SummaryProgress{})
	wantSections(t, ctx, s, []document.ContentHash{node}, map[document.ContentHash]string{node: storedOddText})
	if err := s.FinishSummary(ctx, work, document.Summary{Model: "m", Summary: oddText}, document.SummaryProgress{}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Summary(ctx, accepted.Document.ID); err != nil || got.Summary != storedOddText {
		t.Errorf("summary: got %q, %v, want %q", got.Summary, err, storedOddText)
	}
}

func finishesSummaries(t *testing.T, ctx context.Context, s Store) {
	accepted := acceptUpload(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "summaries"), "finish"))
	publishJob(t, ctx, s, accepted.Job, passageOf("one", 1, 0, 0))
	work := claimTask(t, ctx, s, accepted.Job, task.KindSummary)
	progress := document.SummaryProgress{Sections: 2, SectionsDone: 2}
	want := document.Summary{DocumentID: accepted.Document.ID, Version: 1, Model: "m", Summary: "what it says"}
	if err := s.FinishSummary(ctx, work, want, progress); err != nil {
		t.Fatal(err)
	}
	got, err := s.Summary(ctx, accepted.Document.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	job := readJob(t, ctx, s, accepted.Job.ID)
	if task := job.Tasks.Summary; job.State != document.JobSucceeded || job.FinishedAt == nil || job.Error != "" ||
		task.State != document.JobSucceeded || task.SummaryProgress != progress {
		t.Errorf("job: got %+v, want it succeeded", job)
	}
	wantFault(t, s.FinishSummary(ctx, work, want, progress), fault.LeaseLost)
}

func refusesStaleSummaries(t *testing.T, ctx context.Context, s Store) {
	job := acceptUpload(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "summaries"), "stale")).Job
	publishJob(t, ctx, s, job, passageOf("one", 1, 0, 0))
	stale, err := s.Claim(ctx, taskRefOf(t, ctx, job, task.KindSummary), -leaseTime)
	if err != nil {
		t.Fatal(err)
	}
	claimTask(t, ctx, s, job, task.KindSummary)
	before := readJob(t, ctx, s, job.ID)
	node := document.HashText("node stale")
	wantFault(t, s.SaveSectionSummaries(ctx, stale, map[document.ContentHash]string{node: "stale"}, document.SummaryProgress{Sections: 1}), fault.LeaseLost)
	wantFault(t, s.FinishSummary(ctx, stale, document.Summary{Summary: "stale"}, document.SummaryProgress{Sections: 1}), fault.LeaseLost)
	wantSections(t, ctx, s, []document.ContentHash{node}, map[document.ContentHash]string{})
	_, err = s.Summary(ctx, job.DocumentID)
	wantFault(t, err, fault.NotFound)
	if diff := cmp.Diff(before, readJob(t, ctx, s, job.ID)); diff != "" {
		t.Errorf("job (-before +after):\n%s", diff)
	}
}

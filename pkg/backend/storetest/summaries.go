package storetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

func summaries(t *testing.T, open func(t *testing.T) Store) {
	s := open(t)
	ctx := as(t, tenant.Default)
	for name, test := range map[string]func(*testing.T, context.Context, Store){
		"Sections":         keepsSectionSummaries,
		"Sections at once": keepsOneSummaryOfASection,
		"Sections outlive": keepsSectionSummariesBeyondTheirVersion,
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
func wantSections(t *testing.T, ctx context.Context, s Store, nodes []document.Hash, want map[document.Hash]string) {
	t.Helper()
	got, err := s.SectionSummaries(ctx, document.Work{}, nodes)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("section summaries (-want +got):\n%s", diff)
	}
}

// beginSummary accepts a document and claims its summary task.
func beginSummary(t *testing.T, ctx context.Context, s Store, key string) document.Work {
	t.Helper()
	return claim(t, ctx, s, accept(t, ctx, s, uploadOf(ensure(t, ctx, s, "summaries"), key)).Job, document.Summarise)
}

func saveSection(t *testing.T, ctx context.Context, s Store, work document.Work, node document.Hash, text string, progress document.SummaryProgress) {
	t.Helper()
	if err := s.SaveSectionSummaries(ctx, work, map[document.Hash]string{node: text}, progress); err != nil {
		t.Fatal(err)
	}
}

func keepsSectionSummaries(t *testing.T, ctx context.Context, s Store) {
	one, two, never := document.HashText("node one"), document.HashText("node two"), document.HashText("node never")
	work := beginSummary(t, ctx, s, "sections")
	wantSections(t, ctx, s, []document.Hash{one, two}, map[document.Hash]string{})
	progress := document.SummaryProgress{Sections: 3, SectionsDone: 2, SectionsReused: 1}
	saveSection(t, ctx, s, work, one, "first\x00\xff", document.SummaryProgress{Sections: 3, SectionsDone: 1})
	if err := s.SaveSectionSummaries(ctx, work, map[document.Hash]string{one: "first", two: "요약"}, progress); err != nil {
		t.Fatal(err)
	}
	wantSections(t, ctx, s, []document.Hash{two, never}, map[document.Hash]string{two: "요약"})
	wantSections(t, ctx, s, nil, map[document.Hash]string{})
	if got := readJob(t, ctx, s, work.Job).Tasks.Summary; got.SummaryProgress != progress || got.State != document.Running {
		t.Errorf("task: got %+v, want it running, with progress %+v", got, progress)
	}
}

func keepsOneSummaryOfASection(t *testing.T, ctx context.Context, s Store) {
	node := document.HashText("node at once")
	work := beginSummary(t, ctx, s, "at once")
	together(t, 6, func(int) error {
		texts := map[document.Hash]string{node: "text"}
		for i := range 20 {
			texts[document.HashText(fmt.Sprint("node beside ", i))] = "beside"
		}
		return s.SaveSectionSummaries(ctx, work, texts, document.SummaryProgress{})
	})
	wantSections(t, ctx, s, []document.Hash{node}, map[document.Hash]string{node: "text"})
}

func keepsSectionSummariesBeyondTheirVersion(t *testing.T, ctx context.Context, s Store) {
	node := document.HashText("node outlives")
	work := beginSummary(t, ctx, s, "outlives")
	saveSection(t, ctx, s, work, node, "text", document.SummaryProgress{})
	if err := s.DeleteDocument(ctx, work.Document); err != nil {
		t.Fatal(err)
	}
	collectVersion(t, ctx, s, work.Document, 1)
	wantSections(t, ctx, s, []document.Hash{node}, map[document.Hash]string{node: "text"})
}

func finishesSummaries(t *testing.T, ctx context.Context, s Store) {
	accepted := accept(t, ctx, s, uploadOf(ensure(t, ctx, s, "summaries"), "finish"))
	publish(t, ctx, s, accepted.Job, passageOf("one", 1, 0, 0))
	work := claim(t, ctx, s, accepted.Job, document.Summarise)
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
	if task := job.Tasks.Summary; job.State != document.Succeeded || job.FinishedAt == nil || job.Error != "" ||
		task.State != document.Succeeded || task.SummaryProgress != progress {
		t.Errorf("job: got %+v, want it succeeded", job)
	}
	wantFault(t, s.FinishSummary(ctx, work, want, progress), fault.LeaseLost)
}

func refusesStaleSummaries(t *testing.T, ctx context.Context, s Store) {
	job := accept(t, ctx, s, uploadOf(ensure(t, ctx, s, "summaries"), "stale")).Job
	publish(t, ctx, s, job, passageOf("one", 1, 0, 0))
	stale, err := s.Claim(ctx, refOf(t, ctx, job, document.Summarise), -leaseTime)
	if err != nil {
		t.Fatal(err)
	}
	claim(t, ctx, s, job, document.Summarise)
	before := readJob(t, ctx, s, job.ID)
	node := document.HashText("node stale")
	wantFault(t, s.SaveSectionSummaries(ctx, stale, map[document.Hash]string{node: "stale"}, document.SummaryProgress{Sections: 1}), fault.LeaseLost)
	wantFault(t, s.FinishSummary(ctx, stale, document.Summary{Summary: "stale"}, document.SummaryProgress{Sections: 1}), fault.LeaseLost)
	wantSections(t, ctx, s, []document.Hash{node}, map[document.Hash]string{})
	_, err = s.Summary(ctx, job.DocumentID)
	wantFault(t, err, fault.NotFound)
	if diff := cmp.Diff(before, readJob(t, ctx, s, job.ID)); diff != "" {
		t.Errorf("job (-before +after):\n%s", diff)
	}
}

package storetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func backlog(t *testing.T, open func(t *testing.T) Store) {
	for name, test := range map[string]func(*testing.T, context.Context, Store){
		"Uploads":  backlogGrowsWithUploads,
		"Ends":     backlogShrinksWithEnds,
		"Steering": backlogFollowsCancelAndRetry,
		"Requeue":  backlogCountsRequeuedDocuments,
		"At once":  backlogCountsWhatHappensAtOnce,
	} {
		t.Run(name, func(t *testing.T) { test(t, tenantContext(t, tenant.Default), open(t)) })
	}
}

func wantBacklog(t *testing.T, ctx context.Context, s Store, when string, want task.Backlog) {
	t.Helper()
	got, err := s.Backlog(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: backlog (-want +got):\n%s", when, diff)
	}
}

// sizedUpload returns an upload of an original of size bytes.
func sizedUpload(c vector.Collection, key string, size int64) original.Upload {
	upload := uploadOf(c, key)
	upload.Size = size
	return upload
}

func backlogGrowsWithUploads(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	wantBacklog(t, ctx, s, "at first", task.Backlog{})
	large := sizedUpload(c, "a", 5<<30)
	acceptUpload(t, ctx, s, large)
	acceptUpload(t, ctx, s, sizedUpload(c, "b", 7))
	wantBacklog(t, ctx, s, "two documents", task.Backlog{Jobs: 2, Bytes: 5<<30 + 7})
	acceptUpload(t, ctx, s, large)
	wantBacklog(t, ctx, s, "one of them unchanged", task.Backlog{Jobs: 2, Bytes: 5<<30 + 7})
	acceptUpload(t, ctx, s, sizedUpload(c, "b", 70))
	wantBacklog(t, ctx, s, "another version", task.Backlog{Jobs: 3, Bytes: 5<<30 + 77})
}

func backlogShrinksWithEnds(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	done := acceptUpload(t, ctx, s, sizedUpload(c, "done", 1))
	broken := acceptUpload(t, ctx, s, sizedUpload(c, "broken", 20))
	deleted := acceptUpload(t, ctx, s, sizedUpload(c, "deleted", 300))
	all := task.Backlog{Jobs: 3, Bytes: 321}

	work := claimTask(t, ctx, s, done.Job, task.KindKnowledge)
	recordOutcome(t, ctx, s, work, task.Outcome{Verdict: task.VerdictWait})
	wantBacklog(t, ctx, s, "one waits", all)
	publishJob(t, ctx, s, done.Job, passageOf("one", 1, 0, 0))
	wantBacklog(t, ctx, s, "one has a task done", all)
	finishSummary(t, ctx, s, done.Job, "summary")
	wantBacklog(t, ctx, s, "one is done", task.Backlog{Jobs: 2, Bytes: 320})
	failJob(t, ctx, s, broken.Job)
	wantBacklog(t, ctx, s, "one has failed", task.Backlog{Jobs: 1, Bytes: 300})
	if err := s.DeleteDocument(ctx, deleted.Document.ID); err != nil {
		t.Fatal(err)
	}
	wantBacklog(t, ctx, s, "one is deleted", task.Backlog{})
	collectVersions(t, ctx, s)
	wantBacklog(t, ctx, s, "and collected", task.Backlog{})

	superseded := acceptUpload(t, ctx, s, sizedUpload(c, "superseded", 4000))
	acceptUpload(t, ctx, s, sizedUpload(c, "superseded", 50000))
	collectVersion(t, ctx, s, superseded.Document.ID, superseded.Job.Version)
	wantBacklog(t, ctx, s, "one is superseded and collected", task.Backlog{Jobs: 1, Bytes: 50000})
}

func backlogFollowsCancelAndRetry(t *testing.T, ctx context.Context, s Store) {
	job := acceptUpload(t, ctx, s, sizedUpload(ensureCollection(t, ctx, s, "c"), "a", 40)).Job
	for range 2 {
		if _, err := s.CancelJob(ctx, job.ID); err != nil {
			t.Fatal(err)
		}
		wantBacklog(t, ctx, s, "cancelled", task.Backlog{})
		if _, err := s.RetryJob(ctx, job.ID); err != nil {
			t.Fatal(err)
		}
		wantBacklog(t, ctx, s, "retried", task.Backlog{Jobs: 1, Bytes: 40})
	}
}

func backlogCountsRequeuedDocuments(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	publishDocument(t, ctx, s, sizedUpload(c, "a", 40), passageOf("one", 1, 0, 0))
	wantBacklog(t, ctx, s, "done", task.Backlog{})
	runRequeue(t, ctx, s, document.ReindexRequest{Collection: c.Name, Force: true})
	wantBacklog(t, ctx, s, "requeued", task.Backlog{Jobs: 1, Bytes: 40})
}

func backlogCountsWhatHappensAtOnce(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	const n = 8
	concurrently(t, n, func(i int) error {
		for j := range 4 {
			upload := sizedUpload(c, fmt.Sprint(i, j), 100)
			if err := s.BeginUpload(ctx, upload.Object); err != nil {
				return err
			}
			accepted, err := s.AcceptUpload(ctx, upload)
			if err != nil {
				return err
			}
			if j%2 == 0 {
				err = s.DeleteDocument(ctx, accepted.Document.ID)
			}
			if err != nil {
				return err
			}
			if _, err := s.Backlog(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	wantBacklog(t, ctx, s, "afterwards", task.Backlog{Jobs: 2 * n, Bytes: 200 * n})
}

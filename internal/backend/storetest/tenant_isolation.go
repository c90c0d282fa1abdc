package storetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// tenants calls every method in the name of a tenant who holds the ids, refs
// and leases of another: none may show, change or take anything.
func tenants(t *testing.T, open func(t *testing.T) Store) {
	s := open(t)
	ours, theirs := tenantContext(t, tenant.Default), tenantContext(t, OtherTenant)
	c := ensureCollection(t, ours, s, "c")
	done := publishDocument(t, ours, s, uploadOf(c, "done"), passageOf("done", 1, 0, 0))
	failed := acceptUpload(t, ours, s, uploadOf(c, "failed")).Job
	failJob(t, ours, s, failed)
	upload := uploadOf(c, "under way")
	upload.IdempotencyKey, upload.Fingerprint = "key", "ours"
	underWay := acceptUpload(t, ours, s, upload)
	noted := uploadOf(c, "to come")
	beginUpload(t, ours, s, noted)
	if err := s.DeleteDocument(ours, acceptUpload(t, ours, s, uploadOf(c, "deleted")).Document.ID); err != nil {
		t.Fatal(err)
	}
	work := claimTask(t, ours, s, underWay.Job, task.KindKnowledge)
	if err := s.WriteBatch(ours, work, batchOf(0, passageOf("under way", 1, 0, 0)), document.KnowledgeProgress{Passages: 1}); err != nil {
		t.Fatal(err)
	}
	expired, err := s.Claim(ours, taskRefOf(t, ours, underWay.Job, task.KindSummary), -leaseTime)
	if err != nil {
		t.Fatal(err)
	}
	node := document.HashText("section")
	if err := s.SaveSectionSummaries(ours, expired, map[document.ContentHash]string{node: "ours"}, document.SummaryProgress{Sections: 1}); err != nil {
		t.Fatal(err)
	}
	webhook := addWebhook(t, ours, s)
	failJob(t, ours, s, acceptUpload(t, ours, s, uploadOf(c, "told of")).Job)
	failJob(t, ours, s, acceptUpload(t, ours, s, uploadOf(c, "delivered")).Job)
	taken := claimDeliveries(t, ours, s, -leaseTime)
	sent := taken[0]
	if err := s.RecordDeliveryOutcome(ours, taken[1], task.DeliveryOutcome{State: document.DeliveryDelivered, Status: 200}); err != nil {
		t.Fatal(err)
	}
	before := tenantStateOf(t, ours, s)

	for name, call := range map[string]func(ctx context.Context) error{
		"Document": func(ctx context.Context) error { _, err := s.Document(ctx, done.Document.ID); return err },
		"Passages": func(ctx context.Context) error {
			_, err := s.Passages(ctx, done.Document.ID, document.Page{Limit: 10})
			return err
		},
		"Summary":        func(ctx context.Context) error { _, err := s.Summary(ctx, done.Document.ID); return err },
		"Job":            func(ctx context.Context) error { _, err := s.Job(ctx, done.Job.ID); return err },
		"CancelJob":      func(ctx context.Context) error { _, err := s.CancelJob(ctx, underWay.Job.ID); return err },
		"RetryJob":       func(ctx context.Context) error { _, err := s.RetryJob(ctx, failed.ID); return err },
		"Collection":     func(ctx context.Context) error { _, err := s.Collection(ctx, "c"); return err },
		"DeleteDocument": func(ctx context.Context) error { return s.DeleteDocument(ctx, done.Document.ID) },
		"DeleteWebhook":  func(ctx context.Context) error { return s.DeleteWebhook(ctx, webhook.ID) },
		"Deliveries": func(ctx context.Context) error {
			_, err := s.Deliveries(ctx, webhook.ID, document.Page{Limit: 10})
			return err
		},
		"Claim": func(ctx context.Context) error { _, err := s.Claim(ctx, expired.Ref, time.Hour); return err },
		"AskSummary": func(ctx context.Context) error {
			_, err := s.RequestSummary(ctx, work.DocumentID, document.SummariesByModel)
			return err
		},
		"SetSummaries": func(ctx context.Context) error {
			_, err := s.SetSummaryMode(ctx, "c", document.SummariesOff)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) { wantFault(t, call(theirs), fault.NotFound) })
	}

	for name, call := range map[string]func(ctx context.Context) error{
		"Renew": func(ctx context.Context) error { return s.RenewLease(ctx, work, time.Hour) },
		"Settle": func(ctx context.Context) error {
			return s.RecordOutcome(ctx, work, task.Outcome{Verdict: task.VerdictFail})
		},
		"Write": func(ctx context.Context) error {
			return s.WriteBatch(ctx, work, batchOf(1, passageOf("theirs", 1, 0, 0)), document.KnowledgeProgress{})
		},
		"Publish": func(ctx context.Context) error {
			return s.Publish(ctx, work, nil, document.KnowledgeProgress{Passages: 1})
		},
		"SaveSectionSummaries": func(ctx context.Context) error {
			return s.SaveSectionSummaries(ctx, expired, map[document.ContentHash]string{node: "theirs"}, document.SummaryProgress{})
		},
		"FinishSummary": func(ctx context.Context) error {
			return s.FinishSummary(ctx, expired, document.Summary{Summary: "theirs"}, document.SummaryProgress{})
		},
		"SkipSummary": func(ctx context.Context) error { return s.SkipSummary(ctx, expired) },
		"SettleDelivery": func(ctx context.Context) error {
			return s.RecordDeliveryOutcome(ctx, sent, task.DeliveryOutcome{State: document.DeliveryFailed})
		},
	} {
		t.Run(name, func(t *testing.T) { wantFault(t, call(theirs), fault.LeaseLost) })
	}

	for name, count := range map[string]func(ctx context.Context) (int, error){
		"Known": func(ctx context.Context) (int, error) {
			known, err := s.ReusePassages(ctx, c.ActiveSpace, []document.ContentHash{document.HashText("done")})
			if fault.Is(err, fault.Conflict) { // of theirs, there is no such space
				err = nil
			}
			return len(known), err
		},
		"SectionSummaries": func(ctx context.Context) (int, error) {
			summaries, err := s.ReuseSectionSummaries(ctx, expired, []document.ContentHash{node})
			return len(summaries), err
		},
		"Nearest": func(ctx context.Context) (int, error) {
			hits, err := s.NearestPassages(ctx, c.ActiveSpace, vector.Query{Collection: "c", Vector: []float32{1, 0, 0}, Limit: 10})
			if fault.Is(err, fault.Conflict) { // of theirs, it is not the live space
				err = nil
			}
			return len(hits), err
		},
		"Documents": func(ctx context.Context) (int, error) {
			list, err := s.Documents(ctx, document.DocumentFilter{}, document.Page{Limit: 10})
			return len(list.Items), err
		},
		"Jobs": func(ctx context.Context) (int, error) {
			list, err := s.Jobs(ctx, document.JobFilter{}, document.Page{Limit: 10})
			return len(list.Items), err
		},
		"Webhooks": func(ctx context.Context) (int, error) {
			list, err := s.Webhooks(ctx, document.Page{Limit: 10})
			return len(list.Items), err
		},
		"TakeDeliveries": func(ctx context.Context) (int, error) {
			taken, err := s.ClaimDeliveries(ctx, nil, 10, leaseTime)
			return len(taken), err
		},
		"Dispatch": func(ctx context.Context) (int, error) {
			dispatched, err := s.Dispatch(ctx, map[task.Kind]int{task.KindKnowledge: 10})
			return len(dispatched), err
		},
		"Due": func(ctx context.Context) (int, error) {
			due, err := s.RedispatchOverdue(ctx, -leaseTime, 10)
			return len(due), err
		},
		"Garbage": func(ctx context.Context) (int, error) {
			all, err := s.Garbage(ctx, farFuture, 10)
			return len(all), err
		},
		"DropSections":        func(ctx context.Context) (int, error) { return s.DeleteUnusedSectionSummaries(ctx, 0, 10) },
		"AbandonUploads":      func(ctx context.Context) (int, error) { return s.ExpireUploads(ctx, 0, 10) },
		"DropDeliveries":      func(ctx context.Context) (int, error) { return s.DeleteEndedDeliveries(ctx, 0, 10) },
		"DropIdempotencyKeys": func(ctx context.Context) (int, error) { return s.DeleteExpiredIdempotencyKeys(ctx, 0, 10) },
		"Backlog": func(ctx context.Context) (int, error) {
			backlog, err := s.Backlog(ctx)
			return int(backlog.Jobs), err
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := count(theirs); err != nil || got != 0 {
				t.Errorf("got %d of ours, %v", got, err)
			}
		})
	}

	t.Run("Garbage", func(t *testing.T) {
		before, err := s.Garbage(ours, farFuture, 100)
		if err != nil || len(before) == 0 {
			t.Fatalf("got our garbage %+v, %v", before, err)
		}
		for _, g := range append(before, garbage.Entry{Kind: garbage.KindVersion, DocumentID: done.Document.ID, Version: 1}) {
			if g.Kind != garbage.KindObject && g.Kind != garbage.KindScan {
				if _, err := s.CollectGarbage(theirs, g, farFuture, 10); err != nil {
					t.Errorf("collect %s: %v", g, err)
				}
			}
			if err := errors.Join(s.PostponeGarbage(theirs, g, time.Hour), s.DeleteGarbageEntries(theirs, g)); err != nil {
				t.Error(err)
			}
		}
		if found := searchForGarbage(t, theirs, s, 2); found != (garbage.ScanCounts{}) {
			t.Errorf("they found ours: %s", found)
		}
		after, err := s.Garbage(ours, farFuture, 100)
		if diff := cmp.Diff(before, after); diff != "" || err != nil {
			t.Errorf("our garbage, %v (-before +after):\n%s", err, diff)
		}
	})
	t.Run("EndUpload", func(t *testing.T) {
		if err := s.AbortUpload(theirs, noted.Object); err != nil {
			t.Error(err)
		}
		if n, err := s.ExpireUploads(ours, 0, 10); err != nil || n != 1 {
			t.Errorf("they ended our upload: %d are abandoned, %v", n, err)
		}
	})
	t.Run("Accept", func(t *testing.T) {
		// Into our collection they must not come, not even under our key.
		beginUpload(t, theirs, s, upload)
		if accepted, err := s.AcceptUpload(theirs, upload); err == nil {
			t.Errorf("accepted into another tenant's collection: %+v", accepted)
		}
		own := upload
		own.Collection = ensureCollection(t, theirs, s, "c")
		if own.Collection.ID == c.ID || own.Collection.ActiveSpace.ID == c.ActiveSpace.ID {
			t.Errorf("EnsureCollection: got our collection %+v", own.Collection)
		}
		own.Object = uuid.NewString()
		own.Fingerprint = "theirs"
		accepted := acceptUpload(t, theirs, s, own)
		if accepted.Unchanged || accepted.Replayed || accepted.Document.ID == underWay.Document.ID {
			t.Errorf("got our document: %+v", accepted)
		}
	})

	if diff := cmp.Diff(before, tenantStateOf(t, ours, s), compactJSON()); diff != "" {
		t.Errorf("what they did changed ours (-before +after):\n%s", diff)
	}

	t.Run("No tenant", func(t *testing.T) {
		if _, err := s.Documents(t.Context(), document.DocumentFilter{}, document.Page{Limit: 1}); err == nil {
			t.Error("Documents without a tenant succeeded")
		}
		if _, err := s.AcceptUpload(t.Context(), upload); err == nil {
			t.Error("Accept without a tenant succeeded")
		}
		if _, err := s.Documents(tenantContext(t, "x' OR 1=1"), document.DocumentFilter{}, document.Page{Limit: 1}); err == nil {
			t.Error("Documents for an ill-formed tenant succeeded")
		}
	})
}

// tenantState is all that readers can see of a tenant.
type tenantState struct {
	Documents []document.Document
	Jobs      []document.Job
	Webhooks  []document.Webhook
	Sent      []document.Delivery
	Hits      []document.Hit
	Known     map[document.ContentHash]int
	Sections  map[document.ContentHash]string
	Due       []string
	Backlog   task.Backlog
}

func tenantStateOf(t *testing.T, ctx context.Context, s Store) tenantState {
	t.Helper()
	c := ensureCollection(t, ctx, s, "c")
	known, err := s.ReusePassages(ctx, c.ActiveSpace, []document.ContentHash{document.HashText("done"), document.HashText("under way"), document.HashText("theirs")})
	if err != nil {
		t.Fatal(err)
	}
	sections, err := s.ReuseSectionSummaries(ctx, task.Work{}, []document.ContentHash{document.HashText("section")})
	if err != nil {
		t.Fatal(err)
	}
	backlog, err := s.Backlog(ctx)
	if err != nil {
		t.Fatal(err)
	}
	webhooks := listWebhooks(t, ctx, s, 10)
	var sent []document.Delivery
	for _, w := range webhooks {
		sent = append(sent, listDeliveries(t, ctx, s, w.ID)...)
	}
	return tenantState{
		Webhooks: webhooks,
		Sent:     sent,
		Documents: listAll(t, 10, func(page document.Page) (document.List[document.Document], error) {
			return s.Documents(ctx, document.DocumentFilter{}, page)
		}),
		Jobs: listAll(t, 10, func(page document.Page) (document.List[document.Job], error) {
			return s.Jobs(ctx, document.JobFilter{}, page)
		}),
		Hits:     nearest(t, ctx, s, c, vector.Query{}),
		Known:    known,
		Sections: sections,
		Due:      redispatchOverdue(t, ctx, s, -leaseTime, 10),
		Backlog:  backlog,
	}
}

package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// deleteUnusedSectionSummaries drops section summaries until none is left to look at, a few at
// a time.
func deleteUnusedSectionSummaries(t *testing.T, ctx context.Context, s Store) {
	t.Helper()
	for {
		looked, err := s.DeleteUnusedSectionSummaries(ctx, 0, 2)
		if err != nil {
			t.Fatal(err)
		}
		if looked == 0 {
			return
		}
	}
}

// summarisedDocument accepts a document with these sections and does its summary task,
// in a tenant in which nothing else is under way.
func summarisedDocument(t *testing.T, ctx context.Context, s Store, key string, nodes ...document.ContentHash) task.Work {
	t.Helper()
	job := acceptUpload(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "sections"), key)).Job
	publishJob(t, ctx, s, job, passageOf(key, 1, 0, 0))
	work := claimTask(t, ctx, s, job, task.KindSummary)
	for _, node := range nodes {
		kept, err := s.ReuseSectionSummaries(ctx, work, []document.ContentHash{node})
		if err != nil {
			t.Fatal(err)
		}
		if len(kept) == 0 {
			saveSection(t, ctx, s, work, node, "text", document.SummaryProgress{})
		}
	}
	if err := s.FinishSummary(ctx, work, document.Summary{}, document.SummaryProgress{}); err != nil {
		t.Fatal(err)
	}
	return work
}

// deleteAndCollect deletes a document and has it collected.
func deleteAndCollect(t *testing.T, ctx context.Context, s Store, of task.Work) {
	t.Helper()
	if err := s.DeleteDocument(ctx, of.DocumentID); err != nil {
		t.Fatal(err)
	}
	collectVersion(t, ctx, s, of.DocumentID, of.Version)
}

func nodesOf(texts ...string) (nodes []document.ContentHash) {
	for _, text := range texts {
		nodes = append(nodes, document.HashText(text))
	}
	return nodes
}

func sections(t *testing.T, open func(t *testing.T) Store) {
	for name, test := range map[string]func(*testing.T, context.Context, Store){
		"Go":     deletesUnusedSectionSummaries,
		"Shared": keepsSharedSectionSummaries,
		"Next":   keepsSectionSummariesOfTheNextVersion,
	} {
		// Each in a store of its own: an unended task of the tenant spares.
		t.Run(name, func(t *testing.T) { test(t, tenantContext(t, tenant.Default), open(t)) })
	}
}

func deletesUnusedSectionSummaries(t *testing.T, ctx context.Context, s Store) {
	nodes := nodesOf("a", "b", "c", "d", "e")
	all := map[document.ContentHash]string{}
	for _, node := range nodes {
		all[node] = "text"
	}
	work := summarisedDocument(t, ctx, s, "goes", nodes...)
	deleteUnusedSectionSummaries(t, ctx, s)
	wantSections(t, ctx, s, nodes, all)
	deleteAndCollect(t, ctx, s, work)
	if looked, err := s.DeleteUnusedSectionSummaries(ctx, time.Hour, 10); err != nil || looked != 0 {
		t.Errorf("within an hour: looked at %d, %v, want none", looked, err)
	}
	wantSections(t, ctx, s, nodes, all)
	deleteUnusedSectionSummaries(t, ctx, s)
	wantSections(t, ctx, s, nodes, map[document.ContentHash]string{})
}

// keepsSharedSectionSummaries has sections stay for as long as one version uses them,
// be it that it made them, or that it found them before or after they were
// listed.
func keepsSharedSectionSummaries(t *testing.T, ctx context.Context, s Store) {
	nodes := nodesOf("common", "first alone", "late")
	first := summarisedDocument(t, ctx, s, "first", nodes...)
	second := summarisedDocument(t, ctx, s, "second", nodes[0])
	deleteAndCollect(t, ctx, s, first)
	third := summarisedDocument(t, ctx, s, "third", nodes[2])
	deleteUnusedSectionSummaries(t, ctx, s)
	wantSections(t, ctx, s, nodes, map[document.ContentHash]string{nodes[0]: "text", nodes[2]: "text"})
	deleteAndCollect(t, ctx, s, second)
	deleteUnusedSectionSummaries(t, ctx, s)
	wantSections(t, ctx, s, nodes, map[document.ContentHash]string{nodes[2]: "text"})
	deleteAndCollect(t, ctx, s, third)
	deleteUnusedSectionSummaries(t, ctx, s)
	wantSections(t, ctx, s, nodes, map[document.ContentHash]string{})
}

// keepsSectionSummariesOfTheNextVersion has the next version of a document wait for its
// summary for longer than the one before it is kept.
func keepsSectionSummariesOfTheNextVersion(t *testing.T, ctx context.Context, s Store) {
	nodes := nodesOf("unchanged")
	first := summarisedDocument(t, ctx, s, "next", nodes...)
	next := acceptUpload(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "sections"), "next")).Job
	publishJob(t, ctx, s, next, passageOf("next", 1, 0, 0))
	collectVersion(t, ctx, s, first.DocumentID, 1)
	deleteUnusedSectionSummaries(t, ctx, s)
	wantSections(t, ctx, s, nodes, map[document.ContentHash]string{nodes[0]: "text"})
	work := claimTask(t, ctx, s, next, task.KindSummary)
	if _, err := s.ReuseSectionSummaries(ctx, work, nodes); err != nil {
		t.Fatal(err)
	}
	if err := s.FinishSummary(ctx, work, document.Summary{}, document.SummaryProgress{}); err != nil {
		t.Fatal(err)
	}
	deleteUnusedSectionSummaries(t, ctx, s)
	wantSections(t, ctx, s, nodes, map[document.ContentHash]string{nodes[0]: "text"})
	deleteAndCollect(t, ctx, s, work)
	deleteUnusedSectionSummaries(t, ctx, s)
	wantSections(t, ctx, s, nodes, map[document.ContentHash]string{})
}

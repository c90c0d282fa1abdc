package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

// dropSections drops section summaries until none is left to look at, a few at
// a time.
func dropSections(t *testing.T, ctx context.Context, s Store) {
	t.Helper()
	for {
		looked, err := s.DropSections(ctx, 0, 2)
		if err != nil {
			t.Fatal(err)
		}
		if looked == 0 {
			return
		}
	}
}

// summarised accepts a document with these sections and does its summary task,
// in a tenant in which nothing else is under way.
func summarised(t *testing.T, ctx context.Context, s Store, key string, nodes ...document.Hash) document.Work {
	t.Helper()
	job := accept(t, ctx, s, uploadOf(ensure(t, ctx, s, "sections"), key)).Job
	publish(t, ctx, s, job, passageOf(key, 1, 0, 0))
	work := claim(t, ctx, s, job, document.Summarise)
	for _, node := range nodes {
		kept, err := s.SectionSummaries(ctx, work, []document.Hash{node})
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

// remove deletes a document and has it collected.
func remove(t *testing.T, ctx context.Context, s Store, of document.Work) {
	t.Helper()
	if err := s.DeleteDocument(ctx, of.Document); err != nil {
		t.Fatal(err)
	}
	collectVersion(t, ctx, s, of.Document, of.Version)
}

func nodesOf(texts ...string) (nodes []document.Hash) {
	for _, text := range texts {
		nodes = append(nodes, document.HashText(text))
	}
	return nodes
}

func sections(t *testing.T, open func(t *testing.T) Store) {
	for name, test := range map[string]func(*testing.T, context.Context, Store){
		"Go":     dropsSections,
		"Shared": keepsSharedSections,
		"Next":   sparesSectionsOfTheNextVersion,
	} {
		// Each in a store of its own: an unended task of the tenant spares.
		t.Run(name, func(t *testing.T) { test(t, as(t, tenant.Default), open(t)) })
	}
}

func dropsSections(t *testing.T, ctx context.Context, s Store) {
	nodes := nodesOf("a", "b", "c", "d", "e")
	all := map[document.Hash]string{}
	for _, node := range nodes {
		all[node] = "text"
	}
	work := summarised(t, ctx, s, "goes", nodes...)
	dropSections(t, ctx, s)
	wantSections(t, ctx, s, nodes, all)
	remove(t, ctx, s, work)
	if looked, err := s.DropSections(ctx, time.Hour, 10); err != nil || looked != 0 {
		t.Errorf("within an hour: looked at %d, %v, want none", looked, err)
	}
	wantSections(t, ctx, s, nodes, all)
	dropSections(t, ctx, s)
	wantSections(t, ctx, s, nodes, map[document.Hash]string{})
}

// keepsSharedSections has sections stay for as long as one version uses them,
// be it that it made them, or that it found them before or after they were
// listed.
func keepsSharedSections(t *testing.T, ctx context.Context, s Store) {
	nodes := nodesOf("common", "first alone", "late")
	first := summarised(t, ctx, s, "first", nodes...)
	second := summarised(t, ctx, s, "second", nodes[0])
	remove(t, ctx, s, first)
	third := summarised(t, ctx, s, "third", nodes[2])
	dropSections(t, ctx, s)
	wantSections(t, ctx, s, nodes, map[document.Hash]string{nodes[0]: "text", nodes[2]: "text"})
	remove(t, ctx, s, second)
	dropSections(t, ctx, s)
	wantSections(t, ctx, s, nodes, map[document.Hash]string{nodes[2]: "text"})
	remove(t, ctx, s, third)
	dropSections(t, ctx, s)
	wantSections(t, ctx, s, nodes, map[document.Hash]string{})
}

// sparesSectionsOfTheNextVersion has the next version of a document wait for its
// summary for longer than the one before it is kept.
func sparesSectionsOfTheNextVersion(t *testing.T, ctx context.Context, s Store) {
	nodes := nodesOf("unchanged")
	first := summarised(t, ctx, s, "next", nodes...)
	next := accept(t, ctx, s, uploadOf(ensure(t, ctx, s, "sections"), "next")).Job
	publish(t, ctx, s, next, passageOf("next", 1, 0, 0))
	collectVersion(t, ctx, s, first.Document, 1)
	dropSections(t, ctx, s)
	wantSections(t, ctx, s, nodes, map[document.Hash]string{nodes[0]: "text"})
	work := claim(t, ctx, s, next, document.Summarise)
	if _, err := s.SectionSummaries(ctx, work, nodes); err != nil {
		t.Fatal(err)
	}
	if err := s.FinishSummary(ctx, work, document.Summary{}, document.SummaryProgress{}); err != nil {
		t.Fatal(err)
	}
	dropSections(t, ctx, s)
	wantSections(t, ctx, s, nodes, map[document.Hash]string{nodes[0]: "text"})
	remove(t, ctx, s, work)
	dropSections(t, ctx, s)
	wantSections(t, ctx, s, nodes, map[document.Hash]string{})
}

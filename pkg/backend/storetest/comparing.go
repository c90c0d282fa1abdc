package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

func comparing(t *testing.T, open func(t *testing.T) Store) {
	for name, test := range map[string]func(*testing.T, context.Context, Store){
		"Kept":         listsWhatIsKept,
		"Passages":     readsPlacedPassages,
		"Compared":     notesWhatWasFound,
		"Unreferenced": findsObjectsThatNothingNames,
		"Verification": keepsHowFarAVerificationIs,
	} {
		t.Run(name, func(t *testing.T) { test(t, as(t, tenant.Default), open(t)) })
	}
}

// keptOf returns the versions of a document that must be whole.
func keptOf(t *testing.T, ctx context.Context, s Store, id uuid.UUID) []document.Kept {
	t.Helper()
	kept, err := s.Kept(ctx, document.KeptFilter{Document: id}, uuid.Nil, 10)
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

func listsWhatIsKept(t *testing.T, ctx context.Context, s Store) {
	c, other := ensure(t, ctx, s, "c"), ensure(t, ctx, s, "other")
	live, next := uploadOf(c, "live"), uploadOf(c, "live")
	live.Tag = "tag"
	pending, elsewhere, deleted := uploadOf(c, "pending"), uploadOf(other, "elsewhere"), uploadOf(c, "deleted")
	want := func(id uuid.UUID, version int, up document.Upload, is bool, passages int64) document.Kept {
		return document.Kept{Document: id, Version: version, Collection: up.Collection.Name, Key: up.Key, Live: is, Passages: passages,
			Original: document.Original{Object: up.Object, Size: up.Size, SHA256: up.SHA256, Tag: up.Tag},
			Space:    document.Space{ID: up.Collection.Space.ID, Collection: up.Collection.ID, Model: up.Collection.Space.Model}}
	}
	a := publishDocument(t, ctx, s, live, passageOf("one", 1, 0, 0), passageOf("two", 0, 1, 0)).Document.ID
	accept(t, ctx, s, next)
	b := accept(t, ctx, s, pending).Document.ID
	d := publishDocument(t, ctx, s, elsewhere, passageOf("three", 1, 0, 0)).Document.ID
	if err := s.DeleteDocument(ctx, accept(t, ctx, s, deleted).Document.ID); err != nil {
		t.Fatal(err)
	}
	all := []document.Kept{want(a, 1, live, true, 2), want(a, 2, next, false, -1), want(b, 1, pending, false, -1), want(d, 1, elsewhere, true, 1)}
	for name, test := range map[string]struct {
		filter document.KeptFilter
		after  uuid.UUID
		limit  int
		want   []document.Kept
	}{
		"all":                              {limit: 10, want: all},
		"two documents":                    {limit: 2, want: all[:3]},
		"after the first":                  {after: a, limit: 10, want: all[2:]},
		"after the last":                   {after: d, limit: 10},
		"of a collection":                  {filter: document.KeptFilter{Collection: "other"}, limit: 10, want: all[3:]},
		"of none":                          {filter: document.KeptFilter{Collection: "none"}, limit: 10},
		"one document":                     {filter: document.KeptFilter{Document: a}, limit: 10, want: all[:2]},
		"a document of another collection": {filter: document.KeptFilter{Collection: "other", Document: a}, limit: 10},
	} {
		got, err := s.Kept(ctx, test.filter, test.after, test.limit)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(append([]document.Kept{}, test.want...), append([]document.Kept{}, got...)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got, err := s.Kept(as(t, Other), document.KeptFilter{}, uuid.Nil, 10); err != nil || len(got) != 0 {
		t.Errorf("another tenant: %v, %v", got, err)
	}
}

func readsPlacedPassages(t *testing.T, ctx context.Context, s Store) {
	passages := []document.Embedded{passageOf("one", 1, 0, 0), passageOf("two", 0, 1, 0), passageOf("three", 0, 0, 1)}
	id := publishDocument(t, ctx, s, uploadOf(ensure(t, ctx, s, "c"), "a"), passages...).Document.ID
	kept := keptOf(t, ctx, s, id)[0]
	var want []document.PlacedPassage
	for i, place := range batchOf(0, passages...).Places {
		want = append(want, document.PlacedPassage{Place: place, Content: passages[i].Content, Dimensions: 3})
	}
	for _, page := range []struct{ from, limit int }{{0, 10}, {0, 2}, {2, 2}, {3, 2}} {
		got, err := s.PlacedPassages(ctx, kept, page.from, page.limit)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(append([]document.PlacedPassage{}, want[page.from:min(len(want), page.from+page.limit)]...), append([]document.PlacedPassage{}, got...)); diff != "" {
			t.Errorf("from %d (-want +got):\n%s", page.from, diff)
		}
	}
}

func notesWhatWasFound(t *testing.T, ctx context.Context, s Store) {
	upload := uploadOf(ensure(t, ctx, s, "c"), "a")
	id := publishDocument(t, ctx, s, upload, passageOf("one", 1, 0, 0)).Document.ID
	kept := keptOf(t, ctx, s, id)[0]
	for _, found := range []struct{ tag, damage string }{{"tag", ""}, {"tag", "truncated"}, {"other", "gone"}, {"other", ""}} {
		if err := s.Compared(ctx, kept, found.tag, found.damage); err != nil {
			t.Fatal(err)
		}
		if d := readDocument(t, ctx, s, id); d.Tag != found.tag || d.Damaged != found.damage {
			t.Errorf("got tag %q and damage %q, want %+v", d.Tag, d.Damaged, found)
		}
		if k := keptOf(t, ctx, s, id)[0]; k.Original.Tag != found.tag || k.Damage != found.damage {
			t.Errorf("kept %+v, want %+v", k, found)
		}
	}
	other := kept
	other.Original.Object = "restored meanwhile"
	if err := s.Compared(ctx, other, "tag", "gone"); err != nil {
		t.Fatal(err)
	}
	if d := readDocument(t, ctx, s, id); d.Tag != "other" || d.Damaged != "" {
		t.Errorf("what was found of another object was noted: %+v", d)
	}
	if err := s.Compared(as(t, Other), kept, "tag", "gone"); err != nil {
		t.Fatal(err)
	}
	if d := readDocument(t, ctx, s, id); d.Damaged != "" {
		t.Errorf("another tenant's comparison was noted: %+v", d)
	}
	// The next version is another matter.
	accept(t, ctx, s, uploadOf(ensure(t, ctx, s, "c"), "a"))
	if err := s.Compared(ctx, kept, "tag", "gone"); err != nil {
		t.Fatal(err)
	}
	if k := keptOf(t, ctx, s, id); k[0].Damage != "gone" || k[1].Damage != "" {
		t.Errorf("kept %+v", k)
	}
}

func findsObjectsThatNothingNames(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	named, noted := uploadOf(c, "a"), uploadOf(c, "b")
	id := accept(t, ctx, s, named).Document.ID
	note(t, ctx, s, noted)
	names := []string{named.Object, noted.Object}
	for i := range 100 {
		names = append(names, fmt.Sprint("nobody's/", i))
	}
	got, err := s.Unreferenced(ctx, names)
	slices.Sort(got)
	if want := slices.Sorted(slices.Values(names[2:])); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := s.Unreferenced(as(t, Other), names[:2]); err != nil || len(got) != 2 {
		t.Errorf("another tenant: %q, %v", got, err)
	}
	// A deleted document names its object until it is swept.
	if err := s.DeleteDocument(ctx, id); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Unreferenced(ctx, names[:2]); err != nil || len(got) != 0 {
		t.Errorf("after a deletion: %q, %v", got, err)
	}
	if got, err := s.Unreferenced(ctx, nil); err != nil || len(got) != 0 {
		t.Errorf("none: %q, %v", got, err)
	}
}

func keepsHowFarAVerificationIs(t *testing.T, ctx context.Context, s Store) {
	if got, err := s.Verification(ctx); err != nil || got != (document.Verification{}) {
		t.Errorf("at first: %+v, %v", got, err)
	}
	for _, want := range []document.Verification{
		{Reached: uuid.New(), Documents: 1, Bytes: 1 << 40, Findings: 2, StartedAt: time.Date(2031, 2, 3, 4, 5, 6, 7000, time.UTC)},
		{StartedAt: time.Date(2032, 2, 3, 4, 5, 6, 0, time.UTC)},
	} {
		if err := s.SaveVerification(ctx, want); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Verification(ctx); err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
		if got, err := s.Verification(as(t, Other)); err != nil || got != (document.Verification{}) {
			t.Errorf("another tenant: %+v, %v", got, err)
		}
	}
}

package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/internal/verification"
)

func verifying(t *testing.T, open func(t *testing.T) Store) {
	for name, test := range map[string]func(*testing.T, context.Context, Store){
		"Kept":         listsVersionsToVerify,
		"Passages":     readsPassagesToVerify,
		"Compared":     recordsVersionChecks,
		"Unreferenced": findsUnreferencedObjects,
		"Verification": keepsHowFarAVerificationIs,
	} {
		t.Run(name, func(t *testing.T) { test(t, tenantContext(t, tenant.Default), open(t)) })
	}
}

// retainedVersionsOf returns the versions of a document that must be whole.
func retainedVersionsOf(t *testing.T, ctx context.Context, s Store, id uuid.UUID) []verification.RetainedVersion {
	t.Helper()
	kept, err := s.RetainedVersions(ctx, verification.Filter{DocumentID: id}, uuid.Nil, 10)
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

func listsVersionsToVerify(t *testing.T, ctx context.Context, s Store) {
	c, other := ensureCollection(t, ctx, s, "c"), ensureCollection(t, ctx, s, "other")
	live, next := uploadOf(c, "live"), uploadOf(c, "live")
	live.ObjectETag = "tag"
	pending, elsewhere, deleted := uploadOf(c, "pending"), uploadOf(other, "elsewhere"), uploadOf(c, "deleted")
	want := func(id uuid.UUID, version int, up original.Upload, is bool, passages int64) verification.RetainedVersion {
		return verification.RetainedVersion{DocumentID: id, Version: version, Collection: up.Collection.Name, Key: up.Key, Published: is, Passages: passages,
			Original: original.Ref{Object: up.Object, Size: up.Size, SHA256: up.SHA256, ETag: up.ObjectETag},
			Space:    vector.Space{ID: up.Collection.ActiveSpace.ID, CollectionID: up.Collection.ID, Model: up.Collection.ActiveSpace.Model}}
	}
	a := publishDocument(t, ctx, s, live, passageOf("one", 1, 0, 0), passageOf("two", 0, 1, 0)).Document.ID
	acceptUpload(t, ctx, s, next)
	b := acceptUpload(t, ctx, s, pending).Document.ID
	d := publishDocument(t, ctx, s, elsewhere, passageOf("three", 1, 0, 0)).Document.ID
	if err := s.DeleteDocument(ctx, acceptUpload(t, ctx, s, deleted).Document.ID); err != nil {
		t.Fatal(err)
	}
	all := []verification.RetainedVersion{want(a, 1, live, true, 2), want(a, 2, next, false, -1), want(b, 1, pending, false, -1), want(d, 1, elsewhere, true, 1)}
	for name, test := range map[string]struct {
		filter verification.Filter
		after  uuid.UUID
		limit  int
		want   []verification.RetainedVersion
	}{
		"all":                              {limit: 10, want: all},
		"two documents":                    {limit: 2, want: all[:3]},
		"after the first":                  {after: a, limit: 10, want: all[2:]},
		"after the last":                   {after: d, limit: 10},
		"of a collection":                  {filter: verification.Filter{Collection: "other"}, limit: 10, want: all[3:]},
		"of none":                          {filter: verification.Filter{Collection: "none"}, limit: 10},
		"one document":                     {filter: verification.Filter{DocumentID: a}, limit: 10, want: all[:2]},
		"a document of another collection": {filter: verification.Filter{Collection: "other", DocumentID: a}, limit: 10},
	} {
		got, err := s.RetainedVersions(ctx, test.filter, test.after, test.limit)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(append([]verification.RetainedVersion{}, test.want...), append([]verification.RetainedVersion{}, got...)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got, err := s.RetainedVersions(tenantContext(t, OtherTenant), verification.Filter{}, uuid.Nil, 10); err != nil || len(got) != 0 {
		t.Errorf("another tenant: %v, %v", got, err)
	}
}

func readsPassagesToVerify(t *testing.T, ctx context.Context, s Store) {
	passages := []vector.EmbeddedPassage{passageOf("one", 1, 0, 0), passageOf("two", 0, 1, 0), passageOf("three", 0, 0, 1)}
	id := publishDocument(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "c"), "a"), passages...).Document.ID
	kept := retainedVersionsOf(t, ctx, s, id)[0]
	var want []verification.ManifestPassage
	for i, place := range batchOf(0, passages...).Entries {
		want = append(want, verification.ManifestPassage{ManifestEntry: place, Content: passages[i].Content, Dimensions: 3})
	}
	for _, page := range []struct{ from, limit int }{{0, 10}, {0, 2}, {2, 2}, {3, 2}} {
		got, err := s.ManifestPassages(ctx, kept, page.from, page.limit)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(append([]verification.ManifestPassage{}, want[page.from:min(len(want), page.from+page.limit)]...), append([]verification.ManifestPassage{}, got...)); diff != "" {
			t.Errorf("from %d (-want +got):\n%s", page.from, diff)
		}
	}
}

func recordsVersionChecks(t *testing.T, ctx context.Context, s Store) {
	upload := uploadOf(ensureCollection(t, ctx, s, "c"), "a")
	id := publishDocument(t, ctx, s, upload, passageOf("one", 1, 0, 0)).Document.ID
	kept := retainedVersionsOf(t, ctx, s, id)[0]
	for _, found := range []struct{ tag, damage string }{{"tag", ""}, {"tag", "truncated"}, {"other", oddText}, {"other", ""}} {
		if err := s.RecordVersionCheck(ctx, kept, found.tag, found.damage); err != nil {
			t.Fatal(err)
		}
		found.damage = strings.Replace(found.damage, oddText, storedOddText, 1)
		if d := readDocument(t, ctx, s, id); d.ObjectETag != found.tag || d.Damage != found.damage {
			t.Errorf("got tag %q and damage %q, want %+v", d.ObjectETag, d.Damage, found)
		}
		if k := retainedVersionsOf(t, ctx, s, id)[0]; k.Original.ETag != found.tag || k.Damage != found.damage {
			t.Errorf("kept %+v, want %+v", k, found)
		}
	}
	other := kept
	other.Original.Object = "restored meanwhile"
	if err := s.RecordVersionCheck(ctx, other, "tag", "gone"); err != nil {
		t.Fatal(err)
	}
	if d := readDocument(t, ctx, s, id); d.ObjectETag != "other" || d.Damage != "" {
		t.Errorf("what was found of another object was noted: %+v", d)
	}
	if err := s.RecordVersionCheck(tenantContext(t, OtherTenant), kept, "tag", "gone"); err != nil {
		t.Fatal(err)
	}
	if d := readDocument(t, ctx, s, id); d.Damage != "" {
		t.Errorf("another tenant's comparison was noted: %+v", d)
	}
	// The next version is another matter.
	acceptUpload(t, ctx, s, uploadOf(ensureCollection(t, ctx, s, "c"), "a"))
	if err := s.RecordVersionCheck(ctx, kept, "tag", "gone"); err != nil {
		t.Fatal(err)
	}
	if k := retainedVersionsOf(t, ctx, s, id); k[0].Damage != "gone" || k[1].Damage != "" {
		t.Errorf("kept %+v", k)
	}
}

func findsUnreferencedObjects(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	named, noted := uploadOf(c, "a"), uploadOf(c, "b")
	id := acceptUpload(t, ctx, s, named).Document.ID
	beginUpload(t, ctx, s, noted)
	names := []string{named.Object, noted.Object}
	for i := range 100 {
		names = append(names, fmt.Sprint("nobody's/", i))
	}
	got, err := s.UnreferencedObjects(ctx, names)
	slices.Sort(got)
	if want := slices.Sorted(slices.Values(names[2:])); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := s.UnreferencedObjects(tenantContext(t, OtherTenant), names[:2]); err != nil || len(got) != 2 {
		t.Errorf("another tenant: %q, %v", got, err)
	}
	// A deleted document names its object until it is swept.
	if err := s.DeleteDocument(ctx, id); err != nil {
		t.Fatal(err)
	}
	if got, err := s.UnreferencedObjects(ctx, names[:2]); err != nil || len(got) != 0 {
		t.Errorf("after a deletion: %q, %v", got, err)
	}
	if got, err := s.UnreferencedObjects(ctx, nil); err != nil || len(got) != 0 {
		t.Errorf("none: %q, %v", got, err)
	}
}

func keepsHowFarAVerificationIs(t *testing.T, ctx context.Context, s Store) {
	if got, err := s.VerificationProgress(ctx); err != nil || got != (verification.Progress{}) {
		t.Errorf("at first: %+v, %v", got, err)
	}
	for _, want := range []verification.Progress{
		{Checkpoint: uuid.New(), Documents: 1, Bytes: 1 << 40, Findings: 2, StartedAt: time.Date(2031, 2, 3, 4, 5, 6, 7000, time.UTC)},
		{StartedAt: time.Date(2032, 2, 3, 4, 5, 6, 0, time.UTC)},
	} {
		if err := s.SaveVerificationProgress(ctx, want); err != nil {
			t.Fatal(err)
		}
		if got, err := s.VerificationProgress(ctx); err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
		if got, err := s.VerificationProgress(tenantContext(t, OtherTenant)); err != nil || got != (verification.Progress{}) {
			t.Errorf("another tenant: %+v, %v", got, err)
		}
	}
}

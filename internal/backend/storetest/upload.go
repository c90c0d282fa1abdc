package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Notes are listed of the whole tenant, so each test has its own store.
func uploads(t *testing.T, open func(t *testing.T) Store) {
	for name, test := range map[string]func(*testing.T, context.Context, Store){
		"Accepted":         acceptingCompletesTheUpload,
		"Unchanged":        acceptingNothingLeavesTheUpload,
		"Not noted":        acceptsNothingWithoutAnUpload,
		"Abandoned":        acceptsNoExpiredUpload,
		"Noted twice":      beginsAnUploadOnce,
		"Quiet":            expiresOldUploadsOnly,
		"Limit":            expiresUpToItsLimit,
		"Ended":            abortsUploads,
		"Race to the note": acceptsOrExpires,
	} {
		t.Run(name, func(t *testing.T) { test(t, tenantContext(t, tenant.Default), open(t)) })
	}
}

// wantExpired checks that these are the uploads that came to nothing,
// however recently they were begun.
func wantExpired(t *testing.T, ctx context.Context, s Store, when string, want ...original.Upload) {
	t.Helper()
	if _, err := s.ExpireUploads(ctx, 0, 100); err != nil {
		t.Fatal(err)
	}
	var objects []string
	for _, upload := range want {
		objects = append(objects, upload.Object)
	}
	wantObjects(t, ctx, s, when, objects...)
}

// wantNothingAccepted checks that no document was accepted.
func wantNothingAccepted(t *testing.T, ctx context.Context, s Store, when string) {
	t.Helper()
	documents, err := s.Documents(ctx, document.DocumentFilter{}, document.Page{Limit: 1})
	if err != nil || len(documents.Items) != 0 {
		t.Errorf("%s: got documents %v, %v", when, documents.Items, err)
	}
	jobs, err := s.Jobs(ctx, document.JobFilter{}, document.Page{Limit: 1})
	if err != nil || len(jobs.Items) != 0 {
		t.Errorf("%s: got jobs %v, %v", when, jobs.Items, err)
	}
}

func acceptingCompletesTheUpload(t *testing.T, ctx context.Context, s Store) {
	upload := uploadOf(ensureCollection(t, ctx, s, "c"), "a")
	beginUpload(t, ctx, s, upload)
	if _, err := s.AcceptUpload(ctx, upload); err != nil {
		t.Fatal(err)
	}
	wantExpired(t, ctx, s, "once it was accepted")
}

func acceptingNothingLeavesTheUpload(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	first := uploadOf(c, "a")
	acceptUpload(t, ctx, s, first)
	again := uploadOf(c, "a")
	again.SHA256 = first.SHA256
	beginUpload(t, ctx, s, again)
	if accepted, err := s.AcceptUpload(ctx, again); err != nil || !accepted.Unchanged {
		t.Fatalf("got %+v, %v, want it unchanged", accepted, err)
	}
	wantExpired(t, ctx, s, "its object is nobody's", again)
}

func acceptsNothingWithoutAnUpload(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	_, err := s.AcceptUpload(ctx, uploadOf(c, "a"))
	wantFault(t, err, fault.NotFound)
	wantNothingAccepted(t, ctx, s, "without a note")

	// A note is for one document only.
	upload := uploadOf(c, "b")
	acceptUpload(t, ctx, s, upload)
	upload.Key = "c"
	_, err = s.AcceptUpload(ctx, upload)
	wantFault(t, err, fault.NotFound)
}

func acceptsNoExpiredUpload(t *testing.T, ctx context.Context, s Store) {
	upload := uploadOf(ensureCollection(t, ctx, s, "c"), "a")
	beginUpload(t, ctx, s, upload)
	wantExpired(t, ctx, s, "first", upload)
	_, err := s.AcceptUpload(ctx, upload)
	wantFault(t, err, fault.NotFound)
	wantNothingAccepted(t, ctx, s, "once it was abandoned")
	wantExpired(t, ctx, s, "as when a sweep was cut short", upload)
	if unused, err := s.UnreferencedObjects(ctx, []string{upload.Object}); err != nil || len(unused) > 0 {
		t.Errorf("the object is listed, and called unused: %v, %v", unused, err)
	}
}

func beginsAnUploadOnce(t *testing.T, ctx context.Context, s Store) {
	upload := uploadOf(ensureCollection(t, ctx, s, "c"), "a")
	beginUpload(t, ctx, s, upload)
	if err := s.BeginUpload(ctx, upload.Object); err == nil {
		t.Error("two uploads write one object")
	}
}

func expiresOldUploadsOnly(t *testing.T, ctx context.Context, s Store) {
	upload := uploadOf(ensureCollection(t, ctx, s, "c"), "a")
	beginUpload(t, ctx, s, upload)
	if got, err := s.ExpireUploads(ctx, time.Hour, 10); err != nil || got != 0 {
		t.Errorf("within the hour: abandoned %d, %v", got, err)
	}
	if _, err := s.AcceptUpload(ctx, upload); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func expiresUpToItsLimit(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	for i := range 3 {
		beginUpload(t, ctx, s, uploadOf(c, fmt.Sprint(i)))
	}
	for want := 2; want > 0; want-- { // 2 of 3, then the last
		got, err := s.ExpireUploads(ctx, 0, 2)
		if err != nil || got != want {
			t.Fatalf("abandoned %d uploads, %v, want %d", got, err, want)
		}
	}
}

func abortsUploads(t *testing.T, ctx context.Context, s Store) {
	upload := uploadOf(ensureCollection(t, ctx, s, "c"), "a")
	beginUpload(t, ctx, s, upload)
	for range 2 { // again is harmless
		if err := s.AbortUpload(ctx, upload.Object); err != nil {
			t.Fatal(err)
		}
	}
	wantExpired(t, ctx, s, "once it was ended")
	_, err := s.AcceptUpload(ctx, upload)
	wantFault(t, err, fault.NotFound)
}

// Either the document is accepted or its object may be deleted, never both and
// never neither.
func acceptsOrExpires(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	const n = 20
	all := make([]original.Upload, n)
	for i := range all {
		all[i] = uploadOf(c, fmt.Sprint(i))
		beginUpload(t, ctx, s, all[i])
	}
	var kept [n]bool
	var gone []string
	concurrently(t, n+1, func(i int) (err error) {
		if i == n {
			_, err = s.ExpireUploads(ctx, 0, n)
			return err
		}
		_, err = s.AcceptUpload(ctx, all[i])
		kept[i] = err == nil
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		return err
	})
	for _, g := range garbageOf(t, ctx, s, garbage.KindObject, 0) {
		gone = append(gone, g.Object)
	}
	for i, upload := range all {
		abandoned := slices.Contains(gone, upload.Object)
		if kept[i] && abandoned {
			t.Errorf("upload %d was accepted and its object given up", i)
		}
		if !kept[i] && !abandoned {
			t.Errorf("upload %d was neither accepted nor given up", i)
		}
	}
}

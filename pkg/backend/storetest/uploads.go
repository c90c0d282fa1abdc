package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

// Notes are listed of the whole tenant, so each test has its own store.
func uploads(t *testing.T, open func(t *testing.T) Store) {
	for name, test := range map[string]func(*testing.T, context.Context, Store){
		"Accepted":         acceptingTakesTheNote,
		"Unchanged":        acceptingNothingLeavesTheNote,
		"Not noted":        acceptsNothingWithoutANote,
		"Abandoned":        acceptsNothingThatWasAbandoned,
		"Noted twice":      notesAnObjectOnce,
		"Quiet":            abandonsOldUploadsOnly,
		"Limit":            abandonsUpToItsLimit,
		"Ended":            endsUploads,
		"Race to the note": acceptsOrAbandons,
	} {
		t.Run(name, func(t *testing.T) { test(t, as(t, tenant.Default), open(t)) })
	}
}

// wantAbandoned checks that these are the uploads that came to nothing,
// however recently they were begun.
func wantAbandoned(t *testing.T, ctx context.Context, s Store, when string, want ...document.Upload) {
	t.Helper()
	if _, err := s.AbandonUploads(ctx, 0, 100); err != nil {
		t.Fatal(err)
	}
	var objects []string
	for _, upload := range want {
		objects = append(objects, upload.Object)
	}
	wantObjects(t, ctx, s, when, objects...)
}

// wantNothing checks that no document was accepted.
func wantNothing(t *testing.T, ctx context.Context, s Store, when string) {
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

func acceptingTakesTheNote(t *testing.T, ctx context.Context, s Store) {
	upload := uploadOf(ensure(t, ctx, s, "c"), "a")
	note(t, ctx, s, upload)
	if _, err := s.Accept(ctx, upload); err != nil {
		t.Fatal(err)
	}
	wantAbandoned(t, ctx, s, "once it was accepted")
}

func acceptingNothingLeavesTheNote(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	first := uploadOf(c, "a")
	accept(t, ctx, s, first)
	again := uploadOf(c, "a")
	again.SHA256 = first.SHA256
	note(t, ctx, s, again)
	if accepted, err := s.Accept(ctx, again); err != nil || !accepted.Unchanged {
		t.Fatalf("got %+v, %v, want it unchanged", accepted, err)
	}
	wantAbandoned(t, ctx, s, "its object is nobody's", again)
}

func acceptsNothingWithoutANote(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	_, err := s.Accept(ctx, uploadOf(c, "a"))
	wantFault(t, err, fault.NotFound)
	wantNothing(t, ctx, s, "without a note")

	// A note is for one document only.
	upload := uploadOf(c, "b")
	accept(t, ctx, s, upload)
	upload.Key = "c"
	_, err = s.Accept(ctx, upload)
	wantFault(t, err, fault.NotFound)
}

func acceptsNothingThatWasAbandoned(t *testing.T, ctx context.Context, s Store) {
	upload := uploadOf(ensure(t, ctx, s, "c"), "a")
	note(t, ctx, s, upload)
	wantAbandoned(t, ctx, s, "first", upload)
	_, err := s.Accept(ctx, upload)
	wantFault(t, err, fault.NotFound)
	wantNothing(t, ctx, s, "once it was abandoned")
	wantAbandoned(t, ctx, s, "as when a sweep was cut short", upload)
	if unused, err := s.Unreferenced(ctx, []string{upload.Object}); err != nil || len(unused) > 0 {
		t.Errorf("the object is listed, and called unused: %v, %v", unused, err)
	}
}

func notesAnObjectOnce(t *testing.T, ctx context.Context, s Store) {
	upload := uploadOf(ensure(t, ctx, s, "c"), "a")
	note(t, ctx, s, upload)
	if err := s.BeginUpload(ctx, upload.Object); err == nil {
		t.Error("two uploads write one object")
	}
}

func abandonsOldUploadsOnly(t *testing.T, ctx context.Context, s Store) {
	upload := uploadOf(ensure(t, ctx, s, "c"), "a")
	note(t, ctx, s, upload)
	if got, err := s.AbandonUploads(ctx, time.Hour, 10); err != nil || got != 0 {
		t.Errorf("within the hour: abandoned %d, %v", got, err)
	}
	if _, err := s.Accept(ctx, upload); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func abandonsUpToItsLimit(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	for i := range 3 {
		note(t, ctx, s, uploadOf(c, fmt.Sprint(i)))
	}
	for want := 2; want > 0; want-- { // 2 of 3, then the last
		got, err := s.AbandonUploads(ctx, 0, 2)
		if err != nil || got != want {
			t.Fatalf("abandoned %d uploads, %v, want %d", got, err, want)
		}
	}
}

func endsUploads(t *testing.T, ctx context.Context, s Store) {
	upload := uploadOf(ensure(t, ctx, s, "c"), "a")
	note(t, ctx, s, upload)
	for range 2 { // again is harmless
		if err := s.EndUpload(ctx, upload.Object); err != nil {
			t.Fatal(err)
		}
	}
	wantAbandoned(t, ctx, s, "once it was ended")
	_, err := s.Accept(ctx, upload)
	wantFault(t, err, fault.NotFound)
}

// Either the document is accepted or its object may be deleted, never both and
// never neither.
func acceptsOrAbandons(t *testing.T, ctx context.Context, s Store) {
	c := ensure(t, ctx, s, "c")
	const n = 20
	all := make([]document.Upload, n)
	for i := range all {
		all[i] = uploadOf(c, fmt.Sprint(i))
		note(t, ctx, s, all[i])
	}
	var kept [n]bool
	var gone []string
	together(t, n+1, func(i int) (err error) {
		if i == n {
			_, err = s.AbandonUploads(ctx, 0, n)
			return err
		}
		_, err = s.Accept(ctx, all[i])
		kept[i] = err == nil
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		return err
	})
	for _, g := range listed(t, ctx, s, document.GarbageObject, 0) {
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

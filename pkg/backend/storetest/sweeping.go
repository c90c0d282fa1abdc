package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

// A sweep takes all that there is of a tenant, so each test has its own store.
func sweeping(t *testing.T, open func(t *testing.T) Store) {
	for name, test := range map[string]func(*testing.T, context.Context, Store){
		"Tenants":     listsTenants,
		"Exclusively": excludes,
	} {
		t.Run(name, func(t *testing.T) { test(t, as(t, tenant.Default), open(t)) })
	}
}

func listsTenants(t *testing.T, ctx context.Context, s Store) {
	got, err := s.Tenants(t.Context()) // works for nobody in particular
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{tenant.Default, Other}, got); diff != "" {
		t.Errorf("tenants (-want +got):\n%s", diff)
	}
}

func excludes(t *testing.T, ctx context.Context, s Store) {
	forbidden := func(context.Context) error {
		t.Error("ran twice at once")
		return nil
	}
	runs := 0
	want := errors.New("from inside")
	err := s.Exclusively(t.Context(), "sweep", func(ctx context.Context) error {
		runs++
		if err := s.Exclusively(as(t, Other), "sweep", forbidden); err != nil {
			t.Errorf("the same name: got %v, want nil at once", err)
		}
		if err := s.Exclusively(ctx, "another", func(context.Context) error { runs++; return nil }); err != nil {
			t.Errorf("another name: %v", err)
		}
		return want
	})
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want that of the function", err)
	}
	err = s.Exclusively(t.Context(), "sweep", func(context.Context) error { runs++; return nil })
	if err != nil || runs != 3 {
		t.Errorf("afterwards: got %v and %d runs, want 3", err, runs)
	}
}

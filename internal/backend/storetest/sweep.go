package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/internal/tenant"
)

// A sweep takes all that there is of a tenant, so each test has its own store.
func sweeping(t *testing.T, open func(t *testing.T) Store) {
	for name, test := range map[string]func(*testing.T, context.Context, Store){
		"Tenants":     listsTenants,
		"Tenants due": listsTenantsDue,
		"Exclusively": runsOneAtATimeUnderALock,
	} {
		t.Run(name, func(t *testing.T) { test(t, tenantContext(t, tenant.Default), open(t)) })
	}
}

func listsTenants(t *testing.T, ctx context.Context, s Store) {
	got, err := s.Tenants(t.Context()) // works for nobody in particular
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{tenant.Default, OtherTenant}, got); diff != "" {
		t.Errorf("tenants (-want +got):\n%s", diff)
	}
}

func listsTenantsDue(t *testing.T, ctx context.Context, s Store) {
	c := ensureCollection(t, ctx, s, "c")
	addWebhook(t, ctx, s)
	failJob(t, ctx, s, acceptUpload(t, ctx, s, uploadOf(c, "a")).Job)
	if err := s.DeleteDocument(ctx, acceptUpload(t, ctx, s, uploadOf(c, "b")).Document.ID); err != nil {
		t.Fatal(err)
	}
	beginUpload(t, tenantContext(t, OtherTenant), s, uploadOf(c, "under way"))
	entries := func(ages garbage.MinAges) func(context.Context) ([]string, error) {
		return func(ctx context.Context) ([]string, error) { return s.TenantsWithGarbage(ctx, ages) }
	}
	hour := garbage.MinAges{Uploads: time.Hour, Sections: time.Hour, IdempotencyKeys: time.Hour, Deliveries: time.Hour}
	for name, test := range map[string]struct {
		list func(context.Context) ([]string, error)
		want string
	}{
		"garbage":             {entries(hour), tenant.Default},
		"an abandoned upload": {entries(garbage.MinAges{}), OtherTenant},
		"deliveries":          {s.TenantsWithDeliveries, tenant.Default},
		"no verification":     {func(ctx context.Context) ([]string, error) { return s.TenantsToVerify(ctx, time.Hour) }, OtherTenant},
	} {
		if got, err := test.list(t.Context()); err != nil || !slices.Contains(got, test.want) || !slices.IsSorted(got) {
			t.Errorf("tenants with %s: got %q, %v; want %s among them", name, got, err, test.want)
		}
	}
}

func runsOneAtATimeUnderALock(t *testing.T, ctx context.Context, s Store) {
	forbidden := func(context.Context) error {
		t.Error("ran twice at once")
		return nil
	}
	runs := 0
	want := errors.New("from inside")
	err := s.TryWithLock(t.Context(), "sweep", func(ctx context.Context) error {
		runs++
		if err := s.TryWithLock(tenantContext(t, OtherTenant), "sweep", forbidden); err != nil {
			t.Errorf("the same name: got %v, want nil at once", err)
		}
		if err := s.TryWithLock(ctx, "another", func(context.Context) error { runs++; return nil }); err != nil {
			t.Errorf("another name: %v", err)
		}
		return want
	})
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want that of the function", err)
	}
	err = s.TryWithLock(t.Context(), "sweep", func(context.Context) error { runs++; return nil })
	if err != nil || runs != 3 {
		t.Errorf("afterwards: got %v and %d runs, want 3", err, runs)
	}
}

package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// CheckCollectionLimit checks that a tenant never has more collections than it
// may. Reopen closes the store that it returned before, if any, and opens its
// database with another limit.
func CheckCollectionLimit(t *testing.T, reopen func(limit int) Store) {
	const before, limit, makers = 3, 8, 16
	ctx := tenantContext(t, tenant.Default)
	s := reopen(0)
	for i := range before {
		ensureCollection(t, ctx, s, fmt.Sprint("before ", i))
	}

	s = reopen(limit)
	var made atomic.Int64
	concurrently(t, makers, func(i int) error {
		err := tryEnsureCollection(ctx, s, fmt.Sprint("at once ", i))
		if err == nil {
			made.Add(1)
			return nil
		}
		return wantTooMany(err, limit)
	})
	if n := len(collectionsOf(t, ctx, s)); n != limit || made.Load() != limit-before {
		t.Errorf("there are %d collections, want %d; %d calls made one, want %d", n, limit, made.Load(), limit-before)
	}
	list := listAll(t, 3, func(page document.Page) (document.List[vector.Collection], error) {
		return s.Collections(ctx, page)
	})
	if len(list) != limit || list[limit-1].Name != "before 0" || list[limit-3].Name != "before 2" {
		t.Errorf("listed newest first: got %+v, want all %d", list, limit)
	}
	others := tenantContext(t, OtherTenant)
	for i := range limit - 1 {
		ensureCollection(t, others, s, fmt.Sprint(i))
	}
	concurrently(t, makers, func(int) error { return tryEnsureCollection(others, s, "the last one, made by all") })
	if n := len(collectionsOf(t, others, s)); n != limit {
		t.Errorf("the other tenant has %d collections, want %d", n, limit)
	}

	s = reopen(limit / 2)
	for _, c := range collectionsOf(t, ctx, s) {
		ensureCollection(t, ctx, s, c.Name)
		acceptUpload(t, ctx, s, uploadOf(c, "key"))
	}
	if err := wantTooMany(tryEnsureCollection(ctx, s, "another"), limit/2); err != nil {
		t.Error(err)
	}
	if n := len(collectionsOf(t, ctx, s)); n != limit {
		t.Errorf("%d collections are left of %d, which were more than are allowed now", n, limit)
	}
}

func tryEnsureCollection(ctx context.Context, s Store, name string) error {
	_, err := s.EnsureCollection(ctx, name, document.Model{Name: "test-model", Dimensions: 3}, document.Chunking{Tokens: 400})
	return err
}

func wantTooMany(err error, limit int) error {
	if want := fmt.Sprintf("limit of %d collections (GRISTMILL_MAX_COLLECTIONS)", limit); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), want) {
		return errors.Join(fmt.Errorf("want a conflict that says %q, got", want), err)
	}
	return nil
}

func collectionsOf(t *testing.T, ctx context.Context, s Store) []vector.Collection {
	t.Helper()
	collections, err := s.AllCollections(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return collections
}

package app

import (
	"context"
	"os/exec"
	"strconv"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// A shell runs the printed command as it is, whatever the name of the collection.
func TestReindexCommandIsQuoted(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"docs", "", "two words", "it's", `$(rm -rf "x")`, "-x", "한국어"} {
		m := modelMismatch{collection: vector.Collection{Name: name}, configured: document.Model{Name: "org/m:latest", Dimensions: 768}}
		out, err := exec.CommandContext(t.Context(), "sh", "-c", `gristmill() { printf '<%s>' "$@"; }; `+m.reindexCommand()).Output()
		if err != nil {
			t.Fatal(err)
		}
		want := "<reindex><--collection><" + name + "><--model><org/m:latest><--dimensions><768>"
		if string(out) != want {
			t.Errorf("collection %q: the shell reads %s, want %s", name, out, want)
		}
	}
}

// A few of many mismatches are named, and all are counted.
func TestMismatchesAreCounted(t *testing.T) {
	t.Parallel()
	store := manyCollections{n: 1234}
	mismatches, err := findModelMismatches(t.Context(), store, document.Model{Name: "new"})
	if err != nil {
		t.Fatal(err)
	}
	if len(mismatches.named) != maxNamed || len(mismatches.named)+mismatches.unnamed != store.n/2 || !mismatches.anyEmpty {
		t.Errorf("%d named and %d more (any empty: %t), want %d in total", len(mismatches.named), mismatches.unnamed, mismatches.anyEmpty, store.n/2)
	}
}

// manyCollections are n collections of one tenant. Every second one has another model, and the last
// one is empty.
type manyCollections struct {
	Store
	n int
}

func (manyCollections) Tenants(context.Context) ([]string, error) { return []string{"a"}, nil }

func (m manyCollections) Collections(_ context.Context, page document.Page) (list document.List[vector.Collection], err error) {
	first := 0
	if page.Cursor != "" {
		if first, err = strconv.Atoi(page.Cursor); err != nil {
			return list, err
		}
	}
	for i := first; i < min(first+page.Limit, m.n); i++ {
		c := vector.Collection{Name: strconv.Itoa(i), ActiveSpace: vector.Space{Model: document.Model{Name: "new"}}}
		if i%2 == 0 {
			c.ActiveSpace.Model.Name = "old"
		}
		c.SpaceReplaceable = i == m.n-1
		list.Items = append(list.Items, c)
	}
	if next := first + page.Limit; next < m.n {
		list.NextCursor = strconv.Itoa(next)
	}
	return list, nil
}

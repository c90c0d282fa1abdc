package sweep_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/pipeline/sweep"
)

// The object goes before the rows that name it, so that a crash in between
// leaves nothing that no row names.
func TestSweepDeletesObjectsBeforeRows(t *testing.T) {
	t.Parallel()
	sweeper, m := newSweeper(t)
	m.uploads["a"] = []string{"a/0"}
	m.remains["b"] = []document.Remains{{Version: 1, Object: "b/1"}, {Version: 2, Object: ""}}
	if err := sweeper.Sweep(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	want := []string{"delete a/0", "end a/0", "delete b/1", "forget b/1", "forget "}
	if diff := cmp.Diff(want, m.journal); diff != "" {
		t.Errorf("did (-want +got):\n%s", diff)
	}
}

func TestSweepRemovesAllBatchByBatch(t *testing.T) {
	t.Parallel()
	sweeper, m := newSweeper(t)
	m.orphans, m.sections, m.keys, m.ended, m.spaces = 1700, 1100, 1200, 600, 2600
	for i := range 1100 {
		m.uploads["a"] = append(m.uploads["a"], fmt.Sprint("a/", i))
		m.remains["b"] = append(m.remains["b"], document.Remains{Version: i})
	}
	if err := sweeper.Sweep(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if m.orphans+m.sections+m.keys+m.ended+m.spaces+len(m.uploads["a"])+len(m.remains["b"]) != 0 {
		t.Errorf("left %d orphans, %d sections, %d keys, %d deliveries, %d things in spaces, %d uploads, %d versions", m.orphans, m.sections, m.keys, m.ended, m.spaces, len(m.uploads["a"]), len(m.remains["b"]))
	}
	if slices.ContainsFunc(m.grace, func(d time.Duration) bool { return d != time.Hour }) {
		t.Errorf("left things alone for %v, want the hour that was asked for", m.grace)
	}
}

func TestSweepKeepsRowsOfObjectsThatCannotBeDeleted(t *testing.T) {
	t.Parallel()
	sweeper, m := newSweeper(t)
	m.remains["a"] = []document.Remains{{Version: 1, Object: "a/1"}}
	m.uploads["a"] = []string{"a/2"}
	m.remains["b"] = []document.Remains{{Version: 1}}
	m.orphans, m.keys = 1, 1
	m.deleteErr = fault.New(fault.Unavailable, "object storage is down")
	if err := sweeper.Sweep(t.Context(), time.Minute); !errors.Is(err, m.deleteErr) {
		t.Errorf("error %v", err)
	}
	// What has no object goes all the same.
	if diff := cmp.Diff([]string{"forget "}, m.journal); diff != "" || m.orphans+m.keys != 0 {
		t.Errorf("did (-want +got):\n%s\nleft %d orphans and %d keys", diff, m.orphans, m.keys)
	}
}

// A tenant who has deleted very much holds up neither what is due nor other
// tenants.
func TestSweepRemovesForALimitedTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sweeper, m := newSweeper(t)
		m.deleteTime = 5 * time.Millisecond
		for i := range 3000 {
			m.remains["a"] = append(m.remains["a"], document.Remains{Version: i, Object: fmt.Sprint("a/", i)})
		}
		m.remains["b"] = []document.Remains{{Version: 1, Object: "b/1"}}
		sweepWithin(t, sweeper, 11*time.Second)
		if len(m.remains["a"]) == 0 || len(m.remains["b"]) != 0 {
			t.Errorf("left %d versions of one tenant and %d of the other, want some and none", len(m.remains["a"]), len(m.remains["b"]))
		}
	})
}

// However slow the object storage is.
func TestSweepRemovesForALimitedTimeOneByOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sweeper, m := newSweeper(t)
		m.deleteTime = time.Second
		for i := range 20 {
			m.remains["a"] = append(m.remains["a"], document.Remains{Version: i, Object: fmt.Sprint("a/", i)})
			m.uploads["b"] = append(m.uploads["b"], fmt.Sprint("b/", i))
		}
		for range 5 {
			sweepWithin(t, sweeper, 12*time.Second)
		}
		if len(m.remains["a"])+len(m.uploads["b"]) != 0 {
			t.Errorf("left %d versions and %d uploads", len(m.remains["a"]), len(m.uploads["b"]))
		}
	})
}

func sweepWithin(t *testing.T, sweeper *sweep.Sweeper, limit time.Duration) {
	t.Helper()
	start := time.Now()
	if err := sweeper.Sweep(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > limit {
		t.Errorf("one sweep took %s", took)
	}
}

package sweep_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/internal/pipeline/sweep"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/test/await"
)

func newCollector(t *testing.T, m *fakeBackend) *sweep.GarbageCollector {
	t.Helper()
	c, _ := newLoggedCollector(t, m)
	return c
}

func newLoggedCollector(t *testing.T, m *fakeBackend) (*sweep.GarbageCollector, *await.LogBuffer) {
	t.Helper()
	var log await.LogBuffer
	logger, err := telemetry.NewLogger(&log, "text", "info")
	if err != nil {
		t.Fatal(err)
	}
	c, err := sweep.NewGarbageCollector(sweep.GarbageCollectorConfig{Store: m, Objects: m, Metrics: telemetry.NewMetrics(), Log: logger, Grace: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return c, &log
}

func objectEntry(id int64) garbage.Entry {
	return garbage.Entry{ID: id, Kind: garbage.KindObject, Object: fmt.Sprint("object ", id)}
}

func spaceEntry(id int64) garbage.Entry {
	return garbage.Entry{ID: id, Kind: garbage.KindSpace, SpaceID: id}
}

func (m *fakeBackend) garbageLeft(tenant string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.garbage[tenant])
}

func collect(t *testing.T, c *sweep.GarbageCollector) {
	t.Helper()
	if err := c.CollectGarbage(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestCollectDeletesListedGarbage(t *testing.T) {
	t.Parallel()
	m := newFakeBackend()
	c := newCollector(t, m)
	m.garbage["a"] = []garbage.Entry{objectEntry(1), spaceEntry(2)}
	m.garbage["b"] = []garbage.Entry{spaceEntry(3), objectEntry(4)}
	m.parts[3] = 5 // takes five calls
	collect(t, c)
	want := []string{"delete object 1", "collect space 2", "collect space 3", "delete object 4"}
	if diff := cmp.Diff(want, m.journal); diff != "" || m.garbageLeft("a")+m.garbageLeft("b") != 0 || m.parts[3] != 0 {
		t.Errorf("calls (-want +got):\n%s\n%d entries are left, want none", diff, m.garbageLeft("a")+m.garbageLeft("b"))
	}
}

func TestCollectDeletesInBatches(t *testing.T) {
	t.Parallel()
	m := newFakeBackend()
	c := newCollector(t, m)
	m.uploads, m.sections, m.keys, m.ended = 2700, 2100, 2200, 2600
	for i := range 1100 {
		m.garbage["b"] = append(m.garbage["b"], spaceEntry(int64(i)))
	}
	collect(t, c)
	if m.uploads+m.sections+m.keys+m.ended+m.garbageLeft("b") != 0 {
		t.Errorf("left %d uploads, %d sections, %d keys, %d deliveries, %d entries, want none", m.uploads, m.sections, m.keys, m.ended, m.garbageLeft("b"))
	}
	if slices.ContainsFunc(m.grace, func(d time.Duration) bool { return d != time.Hour }) {
		t.Errorf("grace periods %v, want one hour each", m.grace)
	}
	if want := (garbage.MinAges{Uploads: time.Hour, Sections: time.Hour, IdempotencyKeys: 24 * time.Hour, Deliveries: 7 * 24 * time.Hour}); m.ages != want {
		t.Errorf("listed tenants with garbage by %+v, want %+v", m.ages, want)
	}
}

// Entries that cannot be deleted are tried again with growing delays, and logged with the reason.
// All other garbage is deleted meanwhile.
func TestCollectPostponesWhatCannotBeRemoved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newFakeBackend()
		c, log := newLoggedCollector(t, m)
		for i := range 5 {
			m.garbage["a"] = append(m.garbage["a"], objectEntry(int64(i)), spaceEntry(int64(10+i)))
		}
		m.deleteErr["object 1"] = fault.New(fault.Forbidden, "the object is locked")
		m.collectErr[11] = errors.New("broken row")
		m.collectErr[12] = fault.New(fault.Conflict, "a reindex may need it")
		ctx, stop := context.WithTimeout(t.Context(), 24*time.Hour)
		defer stop()
		c.Run(ctx)
		if n := m.garbageLeft("a"); n != 3 {
			t.Errorf("%d entries are left, want the three that cannot be deleted", n)
		}
		for _, id := range []int64{1, 11, 12} {
			delays := m.delays[id]
			minutes := func(n int) time.Duration { return time.Duration(n) * time.Minute }
			want := []time.Duration{minutes(1), minutes(2), minutes(4), minutes(8), minutes(16), minutes(32), minutes(60), minutes(60)}
			if len(delays) < 20 || len(delays) > 30 || !slices.Equal(delays[:8], want) {
				t.Errorf("entry %d was postponed %d times in a day, want 20 to 30 with doubling delays: %v", id, len(delays), delays)
			}
		}
		text := log.String()
		if n := strings.Count(text, "level=WARN"); n > 60 || n < 40 {
			t.Errorf("%d warnings in a day, want 40 to 60", n)
		}
		for _, want := range []string{"object 1", "the object is locked", "space 11", "broken row"} {
			if !strings.Contains(text, want) {
				t.Errorf("the log does not say %q", want)
			}
		}
		if strings.Contains(text, "space 12") {
			t.Error("the log warns of an entry that is only needed for longer")
		}
		delete(m.deleteErr, "object 1")
		ctx, stop = context.WithTimeout(t.Context(), 2*time.Hour)
		defer stop()
		c.Run(ctx)
		if n := m.garbageLeft("a"); n != 2 {
			t.Errorf("%d entries are left, want two: the object can be deleted now", n)
		}
	})
}

// While object storage is down, its objects wait, and most are not even tried. Other garbage is
// deleted meanwhile.
func TestCollectGoesOnWhileObjectStorageIsDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newFakeBackend()
		c, log := newLoggedCollector(t, m)
		m.deleteTime = time.Second
		m.deleteErr[""] = fault.New(fault.Unavailable, "object storage is down")
		for i := range 500 {
			m.garbage["a"] = append(m.garbage["a"], objectEntry(int64(i)))
		}
		m.garbage["a"] = append(m.garbage["a"], spaceEntry(1000))
		collect(t, c)
		if n := m.garbageLeft("a"); n != 500 {
			t.Errorf("%d entries are left, want the 500 objects", n)
		}
		if n := strings.Count(log.String(), "level=WARN"); n > 5 {
			t.Errorf("%d warnings, want at most 5", n)
		}
		delete(m.deleteErr, "")
		m.deleteTime = 0
		<-time.After(2 * time.Minute)
		for range 3 {
			collect(t, c)
		}
		if n := m.garbageLeft("a"); n != 0 {
			t.Errorf("%d entries are left two minutes after object storage is back, want none", n)
		}
	})
}

// A tenant that has deleted very much does not hold up other tenants, and a round ends in time.
func TestCollectIsBoundedInTime(t *testing.T) {
	t.Parallel()
	for _, deleteTime := range []time.Duration{5 * time.Millisecond, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			m := newFakeBackend()
			c := newCollector(t, m)
			m.deleteTime = deleteTime
			for i := range 3000 {
				m.garbage["a"] = append(m.garbage["a"], objectEntry(int64(i)))
			}
			m.garbage["b"] = []garbage.Entry{spaceEntry(5000)}
			for range 20 {
				start := time.Now()
				collect(t, c)
				if took := time.Since(start); took > 12*time.Second {
					t.Errorf("one round took %s, want at most 12s", took)
				}
			}
			if m.garbageLeft("a") == 3000 || m.garbageLeft("b") != 0 {
				t.Errorf("left %d entries of one tenant and %d of the other, want some and none", m.garbageLeft("a"), m.garbageLeft("b"))
			}
		})
	}
}

// A scan continues from round to round, runs when nothing else is due, and takes a small part of
// the time.
func TestCollectScans(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newFakeBackend()
		c, log := newLoggedCollector(t, m)
		m.scanTime = 100 * time.Millisecond
		m.found = garbage.ScanCounts{Versions: 3}
		m.garbage["a"] = []garbage.Entry{{ID: 1, Kind: garbage.KindScan}, objectEntry(2)}
		start := time.Now()
		collect(t, c)
		if took := time.Since(start); took > 2*time.Second || m.scanned == 0 || m.scanned == 100 {
			t.Errorf("the first round took %s and scanned %d parts, want at most 2s and some of 100 parts", took, m.scanned)
		}
		if !slices.Contains(m.journal, "delete object 2") {
			t.Error("the object was not deleted because of the scan")
		}
		for range 20 {
			collect(t, c)
		}
		if m.scanned != 100 || m.garbageLeft("a") != 0 {
			t.Errorf("scanned %d parts, and %d entries are left, want 100 and none", m.scanned, m.garbageLeft("a"))
		}
		for _, want := range []string{"found garbage that was not on the garbage list", "3 versions", "scan of all rows"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log does not say %q:\n%s", want, log.String())
			}
		}
	})
}

func TestOneProcessCollectsAtATime(t *testing.T) {
	t.Parallel()
	m := newFakeBackend()
	c := newCollector(t, m)
	m.garbage["a"], m.busy = []garbage.Entry{objectEntry(1)}, true
	if collect(t, c); m.garbageLeft("a") != 1 {
		t.Error("collected while another process held the lock")
	}
}

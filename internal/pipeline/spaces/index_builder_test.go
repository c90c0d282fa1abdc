package spaces_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/pipeline/spaces"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/vector"
)

// fakeSpaces is a store with spaces, some of which have grown.
type fakeSpaces struct {
	mu       sync.Mutex
	grown    map[string][]vector.Space // by tenant: spaces to be indexed, on the list of grown spaces
	unlisted map[string][]vector.Space // by tenant: spaces to be indexed, not on the list
	small    map[string][]vector.Space // by tenant: spaces to be moved
	indexed  []int64
	moved    []int64
	locks    []string        // names of the locks, one for each round
	scanned  []string        // tenants and positions that the index scan has read
	taken    map[string]bool // locks that another process holds
	broken   map[int64]error
	build    time.Duration // time to build an index
	read     time.Duration // time to read a batch of spaces
}

func (s *fakeSpaces) Tenants(context.Context) ([]string, error) { return []string{"a", "b", "c"}, nil }

func (s *fakeSpaces) TenantsWithGrownSpaces(context.Context) ([]string, error) {
	return []string{"a", "b"}, nil
}

func (s *fakeSpaces) GrownSpaces(ctx context.Context, kind vector.Maintenance, threshold int) ([]vector.Space, error) {
	id, err := tenant.From(ctx)
	if err != nil || threshold != 100 {
		return nil, fmt.Errorf("called with a threshold of %d: %w", threshold, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if kind == vector.MaintenanceMove {
		return slices.Clone(s.small[id]), nil
	}
	return slices.Clone(s.grown[id]), nil
}

// GrownSpacesAfter returns two pages for each tenant.
func (s *fakeSpaces) GrownSpacesAfter(ctx context.Context, kind vector.Maintenance, threshold int, after int64, limit int) ([]vector.Space, int64, error) {
	id, err := tenant.From(ctx)
	if err != nil || threshold != 100 || limit < 1 {
		return nil, 0, fmt.Errorf("called with a threshold of %d and a limit of %d: %w", threshold, limit, err)
	}
	<-time.After(s.read) // on the bubble's clock
	s.mu.Lock()
	defer s.mu.Unlock()
	if kind == vector.MaintenanceMove {
		return nil, 0, nil
	}
	s.scanned = append(s.scanned, fmt.Sprint(id, after))
	if after == 0 {
		return nil, 1, nil
	}
	return slices.Clone(s.unlisted[id]), 0, nil
}

func (s *fakeSpaces) MoveSpaceToOwnTable(ctx context.Context, space vector.Space) error {
	id, err := tenant.From(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moved = append(s.moved, space.ID)
	s.small[id] = nil
	return err
}

func (s *fakeSpaces) IndexSpace(ctx context.Context, space vector.Space, threshold int) error {
	id, err := tenant.From(ctx)
	if err != nil || threshold != 100 {
		return fmt.Errorf("called with a threshold of %d: %w", threshold, err)
	}
	select {
	case <-time.After(s.build): // on the bubble's clock
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.broken[space.ID]; err != nil {
		return err
	}
	s.indexed = append(s.indexed, space.ID)
	for _, list := range []map[string][]vector.Space{s.grown, s.unlisted} {
		list[id] = slices.DeleteFunc(list[id], func(other vector.Space) bool { return other.ID == space.ID })
	}
	return nil
}

func (s *fakeSpaces) TryWithLock(ctx context.Context, name string, fn func(context.Context) error) error {
	s.mu.Lock()
	s.locks = append(s.locks, name)
	taken := s.taken[name]
	s.mu.Unlock()
	if taken {
		return nil
	}
	return fn(ctx)
}

func newIndexBuilder(t *testing.T, log *await.LogBuffer) (*spaces.IndexBuilder, *fakeSpaces) {
	t.Helper()
	logger, err := telemetry.NewLogger(log, "text", "info")
	if err != nil {
		t.Fatal(err)
	}
	s := &fakeSpaces{
		grown:    map[string][]vector.Space{"a": {{ID: 1}, {ID: 2}}, "b": {{ID: 3}}},
		unlisted: map[string][]vector.Space{}, small: map[string][]vector.Space{},
		broken: map[int64]error{}, taken: map[string]bool{},
	}
	builder, err := spaces.NewIndexBuilder(spaces.Config{Store: s, Threshold: 100, BuildIndexes: true, Log: logger})
	if err != nil {
		t.Fatal(err)
	}
	return builder, s
}

// runBuilderFor runs the builder for a duration of the bubble's clock.
func runBuilderFor(t *testing.T, builder *spaces.IndexBuilder, d time.Duration) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), d)
	defer stop()
	builder.Run(ctx)
}

func TestGrownSpacesAreIndexed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log await.LogBuffer
		builder, s := newIndexBuilder(t, &log)
		s.build = time.Minute
		runBuilderFor(t, builder, 10*time.Minute)
		if diff := cmp.Diff([]int64{1, 2, 3}, s.indexed); diff != "" {
			t.Errorf("indexed (-want +got):\n%s", diff)
		}
		for _, want := range []string{"building the index of a space", "index of a space built", "tenant=b", "took=1m0s"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log does not say %q:\n%s", want, log.String())
			}
		}
		for _, lock := range []string{"index", "move"} {
			rounds := len(slices.DeleteFunc(slices.Clone(s.locks), func(other string) bool { return other != lock }))
			if rounds < 10 || rounds > 21 {
				t.Errorf("%d rounds of %s in 10 minutes, want 10 to 21", rounds, lock)
			}
		}
	})
}

func TestMovesDoNotWaitForIndexes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log await.LogBuffer
		builder, s := newIndexBuilder(t, &log)
		s.build = 5 * time.Hour
		s.small["b"] = []vector.Space{{ID: 7}}
		runBuilderFor(t, builder, time.Second)
		s.small["b"] = []vector.Space{{ID: 8}}
		runBuilderFor(t, builder, time.Minute)
		if diff := cmp.Diff([]int64{7, 8}, s.moved); diff != "" || len(s.indexed) > 0 {
			t.Errorf("moved during a build (-want +got):\n%s\nindexed %v", diff, s.indexed)
		}
		for _, want := range []string{"moving a space to its own table", "space moved to its own table"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log does not say %q:\n%s", want, log.String())
			}
		}
	})
}

// Without a database role that can build indexes, spaces are still moved.
func TestMoveOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		builder, s := newIndexBuilder(t, new(await.LogBuffer))
		builder.BuildIndexes = false
		s.small["a"] = []vector.Space{{ID: 7}}
		runBuilderFor(t, builder, time.Minute)
		if len(s.indexed) > 0 || len(s.moved) != 1 {
			t.Errorf("indexed %v, moved %v, want one moved", s.indexed, s.moved)
		}
	})
}

// The scan finds spaces that are not on the list. A round scans for a bounded time, and the next
// one continues.
func TestScanOfAllSpaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		builder, s := newIndexBuilder(t, new(await.LogBuffer))
		s.unlisted["c"] = []vector.Space{{ID: 9}}
		s.read = 30 * time.Millisecond
		runBuilderFor(t, builder, time.Second)
		if diff := cmp.Diff([]string{"a0", "a1"}, s.scanned); diff != "" {
			t.Errorf("the first round scanned (-want +got):\n%s", diff)
		}
		s.scanned = nil
		runBuilderFor(t, builder, 119*time.Second)
		if diff := cmp.Diff([]string{"a0", "a1", "b0", "b1", "c0", "c1", "a0", "a1"}, s.scanned); diff != "" || !slices.Contains(s.indexed, 9) {
			t.Errorf("four rounds scanned (-want +got):\n%s\nindexed %v, want 9 among them", diff, s.indexed)
		}
	})
}

func TestFailedIndexDoesNotBlockOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log await.LogBuffer
		builder, s := newIndexBuilder(t, &log)
		s.broken[1] = errors.New("disk full")
		runBuilderFor(t, builder, time.Second)
		if diff := cmp.Diff([]int64{2, 3}, s.indexed); diff != "" {
			t.Errorf("indexed (-want +got):\n%s", diff)
		}
		if !strings.Contains(log.String(), "index space 1: disk full") {
			t.Errorf("the log does not show the error:\n%s", log.String())
		}
		delete(s.broken, 1)
		runBuilderFor(t, builder, time.Minute)
		if !slices.Contains(s.indexed, 1) {
			t.Error("the failed index was not tried again")
		}
	})
}

func TestOneProcessBuildsIndexesAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		builder, s := newIndexBuilder(t, new(await.LogBuffer))
		s.taken["index"] = true
		s.small["a"] = []vector.Space{{ID: 7}}
		runBuilderFor(t, builder, time.Minute)
		if len(s.indexed) > 0 {
			t.Error("indexed while another process held the lock")
		}
		if len(s.moved) == 0 {
			t.Error("the move waited for the build of another process")
		}
	})
}

// A build that ends because the process stops is not logged as a failure.
func TestBuildEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log await.LogBuffer
		builder, s := newIndexBuilder(t, &log)
		s.build = time.Hour
		start := time.Now()
		runBuilderFor(t, builder, time.Minute)
		if took := time.Since(start); took != time.Minute || strings.Contains(log.String(), "WARN") {
			t.Errorf("ended after %s, want 1m0s and no warning:\n%s", took, log.String())
		}
	})
}

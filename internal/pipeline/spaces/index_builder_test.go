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

// fakeSpaces is a database with spaces, some of which have grown.
type fakeSpaces struct {
	mu       sync.Mutex
	grown    map[string][]vector.Space // by tenant: listed, to be indexed
	unlisted map[string][]vector.Space // to be indexed, but on no list
	small    map[string][]vector.Space // to be moved
	indexed  []int64
	moved    []int64
	names    []string        // that were exclusive
	walked   []string        // tenants, to be indexed
	busy     map[string]bool // another process has these names
	broken   map[int64]error
	takes    time.Duration // to build an index
	looks    time.Duration // to look at some spaces in turn
}

func (s *fakeSpaces) Tenants(context.Context) ([]string, error) { return []string{"a", "b", "c"}, nil }

func (s *fakeSpaces) TenantsWithGrownSpaces(context.Context) ([]string, error) {
	return []string{"a", "b"}, nil
}

func (s *fakeSpaces) GrownSpaces(ctx context.Context, kind vector.Maintenance, threshold int) ([]vector.Space, error) {
	id, err := tenant.From(ctx)
	if err != nil || threshold != 100 {
		return nil, fmt.Errorf("asked with a threshold of %d: %w", threshold, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if kind == vector.MaintenanceMove {
		return slices.Clone(s.small[id]), nil
	}
	return slices.Clone(s.grown[id]), nil
}

// GrownSpacesAfter looks at two pages of each tenant.
func (s *fakeSpaces) GrownSpacesAfter(ctx context.Context, kind vector.Maintenance, threshold int, after int64, limit int) ([]vector.Space, int64, error) {
	id, err := tenant.From(ctx)
	if err != nil || threshold != 100 || limit < 1 {
		return nil, 0, fmt.Errorf("asked with a threshold of %d: %w", threshold, err)
	}
	<-time.After(s.looks) // of the bubble's clock
	s.mu.Lock()
	defer s.mu.Unlock()
	if kind == vector.MaintenanceMove {
		return nil, 0, nil
	}
	s.walked = append(s.walked, fmt.Sprint(id, after))
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
		return fmt.Errorf("index with a threshold of %d: %w", threshold, err)
	}
	select {
	case <-time.After(s.takes): // of the bubble's clock
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
	s.names = append(s.names, name)
	busy := s.busy[name]
	s.mu.Unlock()
	if busy {
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
		broken: map[int64]error{}, busy: map[string]bool{},
	}
	return &spaces.IndexBuilder{Store: s, Threshold: 100, BuildIndexes: true, Log: logger}, s
}

// runBuilderFor runs the builder for a time of the bubble's clock.
func runBuilderFor(t *testing.T, builder *spaces.IndexBuilder, d time.Duration) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), d)
	defer stop()
	builder.Run(ctx)
}

func TestSpacesThatHaveGrownAreIndexed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log await.LogBuffer
		builder, s := newIndexBuilder(t, &log)
		s.takes = time.Minute
		runBuilderFor(t, builder, 10*time.Minute)
		if diff := cmp.Diff([]int64{1, 2, 3}, s.indexed); diff != "" {
			t.Errorf("indexed (-want +got):\n%s", diff)
		}
		for _, want := range []string{"indexing a space", "space is indexed", "tenant=b", "took=1m0s"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log does not say %q:\n%s", want, log.String())
			}
		}
		for _, name := range []string{"index", "move"} {
			rounds := len(slices.DeleteFunc(slices.Clone(s.names), func(other string) bool { return other != name }))
			if rounds < 10 || rounds > 21 {
				t.Errorf("looked %d times in 10 minutes under the name %s", rounds, name)
			}
		}
	})
}

func TestMovesDoNotWaitForIndexes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log await.LogBuffer
		builder, s := newIndexBuilder(t, &log)
		s.takes = 5 * time.Hour
		s.small["b"] = []vector.Space{{ID: 7}}
		runBuilderFor(t, builder, time.Second)
		s.small["b"] = []vector.Space{{ID: 8}}
		runBuilderFor(t, builder, time.Minute)
		if diff := cmp.Diff([]int64{7, 8}, s.moved); diff != "" || len(s.indexed) > 0 {
			t.Errorf("moved beside a build (-want +got):\n%s\nindexed %v", diff, s.indexed)
		}
		for _, want := range []string{"moving a space to a table of its own", "space has a table of its own"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log does not say %q:\n%s", want, log.String())
			}
		}
	})
}

// Without a role that builds indexes spaces are moved all the same.
func TestKeeperThatBuildsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		builder, s := newIndexBuilder(t, new(await.LogBuffer))
		builder.BuildIndexes = false
		s.small["a"] = []vector.Space{{ID: 7}}
		runBuilderFor(t, builder, time.Minute)
		if len(s.indexed) > 0 || len(s.moved) != 1 {
			t.Errorf("indexed %v, moved %v", s.indexed, s.moved)
		}
	})
}

// What is on no list is found as well. A round walks for a bounded time, and the
// next one goes on.
func TestKeeperWalksThroughAllSpaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		builder, s := newIndexBuilder(t, new(await.LogBuffer))
		s.unlisted["c"] = []vector.Space{{ID: 9}}
		s.looks = 30 * time.Millisecond
		runBuilderFor(t, builder, time.Second)
		if diff := cmp.Diff([]string{"a0", "a1"}, s.walked); diff != "" {
			t.Errorf("the first round walked through (-want +got):\n%s", diff)
		}
		s.walked = nil
		runBuilderFor(t, builder, 119*time.Second)
		if diff := cmp.Diff([]string{"a0", "a1", "b0", "b1", "c0", "c1", "a0", "a1"}, s.walked); diff != "" || !slices.Contains(s.indexed, 9) {
			t.Errorf("four rounds walked through (-want +got):\n%s\nindexed %v, want 9 among them", diff, s.indexed)
		}
	})
}

func TestSpaceThatCannotBeIndexedKeepsNoOther(t *testing.T) {
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
			t.Errorf("log:\n%s", log.String())
		}
		delete(s.broken, 1)
		runBuilderFor(t, builder, time.Minute)
		if !slices.Contains(s.indexed, 1) {
			t.Error("not tried again")
		}
	})
}

func TestOneKeepsIndexesAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		builder, s := newIndexBuilder(t, new(await.LogBuffer))
		s.busy["index"] = true
		s.small["a"] = []vector.Space{{ID: 7}}
		runBuilderFor(t, builder, time.Minute)
		if len(s.indexed) > 0 {
			t.Error("indexed beside another")
		}
		if len(s.moved) == 0 {
			t.Error("what is moved waited for another's build")
		}
	})
}

// A build that is cut off by the end of the process is no trouble to report.
func TestKeeperEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log await.LogBuffer
		builder, s := newIndexBuilder(t, &log)
		s.takes = time.Hour
		start := time.Now()
		runBuilderFor(t, builder, time.Minute)
		if took := time.Since(start); took != time.Minute || strings.Contains(log.String(), "WARN") {
			t.Errorf("ended after %s, log:\n%s", took, log.String())
		}
	})
}

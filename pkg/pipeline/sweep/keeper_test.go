package sweep_test

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

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/pipeline/sweep"
	"github.com/seed-7a112592/gristmill/pkg/telemetry"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
	"github.com/seed-7a112592/gristmill/test/await"
)

// shelf is a database with spaces that have grown.
type shelf struct {
	mu      sync.Mutex
	grown   map[string][]document.Space // by tenant
	indexed []int64
	names   []string // that were exclusive
	busy    bool     // another process is building
	broken  map[int64]error
	takes   time.Duration // to build an index
}

func (s *shelf) Tenants(context.Context) ([]string, error) { return []string{"a", "b"}, nil }

func (s *shelf) Unindexed(ctx context.Context, threshold int) ([]document.Space, error) {
	id, err := tenant.From(ctx)
	if err != nil || threshold != 100 {
		return nil, fmt.Errorf("asked with a threshold of %d: %w", threshold, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.grown[id]), nil
}

func (s *shelf) IndexSpace(ctx context.Context, space document.Space, threshold int) error {
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
	s.grown[id] = slices.DeleteFunc(s.grown[id], func(other document.Space) bool { return other.ID == space.ID })
	return nil
}

func (s *shelf) Exclusively(ctx context.Context, name string, fn func(context.Context) error) error {
	s.names = append(s.names, name)
	if s.busy {
		return nil
	}
	return fn(ctx)
}

func newKeeper(t *testing.T, log *await.Buffer) (*sweep.Keeper, *shelf) {
	t.Helper()
	logger, err := telemetry.NewLogger(log, "text", "info")
	if err != nil {
		t.Fatal(err)
	}
	s := &shelf{grown: map[string][]document.Space{"a": {{ID: 1}, {ID: 2}}, "b": {{ID: 3}}}, broken: map[int64]error{}}
	return &sweep.Keeper{Store: s, Threshold: 100, Log: logger}, s
}

// keepFor runs the keeper for a time of the bubble's clock.
func keepFor(t *testing.T, keeper *sweep.Keeper, d time.Duration) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), d)
	defer stop()
	keeper.Run(ctx)
}

func TestSpacesThatHaveGrownAreIndexed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log await.Buffer
		keeper, s := newKeeper(t, &log)
		s.takes = time.Minute
		keepFor(t, keeper, 10*time.Minute)
		if diff := cmp.Diff([]int64{1, 2, 3}, s.indexed); diff != "" {
			t.Errorf("indexed (-want +got):\n%s", diff)
		}
		for _, want := range []string{"indexing a space", "space is indexed", "tenant=b", "took=1m0s"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log does not say %q:\n%s", want, log.String())
			}
		}
		if n := len(s.names); n < 10 || n > 21 || s.names[0] != "index" {
			t.Errorf("looked %d times in 10 minutes, under the name %s", n, s.names[0])
		}
	})
}

func TestSpaceThatCannotBeIndexedKeepsNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log await.Buffer
		keeper, s := newKeeper(t, &log)
		s.broken[1] = errors.New("disk full")
		keepFor(t, keeper, time.Second)
		if diff := cmp.Diff([]int64{2, 3}, s.indexed); diff != "" {
			t.Errorf("indexed (-want +got):\n%s", diff)
		}
		if !strings.Contains(log.String(), "index space 1: disk full") {
			t.Errorf("log:\n%s", log.String())
		}
		delete(s.broken, 1)
		keepFor(t, keeper, time.Minute)
		if !slices.Contains(s.indexed, 1) {
			t.Error("not tried again")
		}
	})
}

func TestOneKeepsIndexesAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		keeper, s := newKeeper(t, new(await.Buffer))
		s.busy = true
		keepFor(t, keeper, time.Minute)
		if len(s.indexed) > 0 {
			t.Error("indexed beside another")
		}
		if len(s.names) == 0 {
			t.Error("it never asked for its turn")
		}
	})
}

// A build that is cut off by the end of the process is no trouble to report.
func TestKeeperEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log await.Buffer
		keeper, s := newKeeper(t, &log)
		s.takes = time.Hour
		start := time.Now()
		keepFor(t, keeper, time.Minute)
		if took := time.Since(start); took != time.Minute || strings.Contains(log.String(), "WARN") {
			t.Errorf("ended after %s, log:\n%s", took, log.String())
		}
	})
}

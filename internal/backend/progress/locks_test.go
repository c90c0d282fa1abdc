package progress_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/seed-7a112592/gristmill/internal/backend/progress"
)

func TestLockHasOneHolder(t *testing.T) {
	onEachRedis(t, func(t *testing.T, url string) {
		one, two := newStore(t, url), newStore(t, url)
		if got := one.AcquireLocks(t.Context(), []string{"a", "b"}); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("the first process got %q of a and b", got)
		}
		if got := two.AcquireLocks(t.Context(), []string{"b", "c"}); !slices.Equal(got, []string{"c"}) {
			t.Errorf("the second got %q of b and c while b is held", got)
		}
		two.ReleaseLocks(t.Context(), []string{"b", "c"}) // it does not hold b
		if got := two.AcquireLocks(t.Context(), []string{"b"}); len(got) != 0 {
			t.Errorf("the second got %q, which the first holds", got)
		}
		one.ReleaseLocks(t.Context(), []string{"a", "b"})
		if got := two.AcquireLocks(t.Context(), []string{"a", "b"}); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("the second got %q after the release", got)
		}
	})
}

func TestLockExpires(t *testing.T) {
	onEachRedis(t, func(t *testing.T, url string) {
		newStore(t, url).AcquireLocks(t.Context(), []string{"a"})
		options, err := redis.ParseURL(url)
		if err != nil {
			t.Fatal(err)
		}
		client := redis.NewClient(options)
		defer client.Close()
		left, err := client.PTTL(t.Context(), "claim:a").Result()
		if err != nil || left <= 0 || left > progress.LockTTL {
			t.Errorf("a lock has %s left, %v; want at most %s", left, err, progress.LockTTL)
		}
	})
}

func TestLocksWithoutRedis(t *testing.T) {
	t.Parallel()
	l := newStoreWithLog(t, "redis://127.0.0.1:1", slog.DiscardHandler)
	names := []string{"a", "b"}
	if got := l.AcquireLocks(context.Background(), names); !slices.Equal(got, names) {
		t.Errorf("got %q, want all", got)
	}
	l.ReleaseLocks(context.Background(), names)
}

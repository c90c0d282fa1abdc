package live_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/seed-7a112592/gristmill/pkg/backend/live"
)

func TestClaimIsOneProcess(t *testing.T) {
	onEachRedis(t, func(t *testing.T, url string) {
		one, two := newLive(t, url), newLive(t, url)
		if got := one.Claim(t.Context(), []string{"a", "b"}); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("the first process got %q of a and b", got)
		}
		if got := two.Claim(t.Context(), []string{"b", "c"}); !slices.Equal(got, []string{"c"}) {
			t.Errorf("the second got %q of b and c while b is taken", got)
		}
		two.Release(t.Context(), []string{"b", "c"}) // b is not its own to release
		if got := two.Claim(t.Context(), []string{"b"}); len(got) != 0 {
			t.Errorf("the second got %q, which the first holds", got)
		}
		one.Release(t.Context(), []string{"a", "b"})
		if got := two.Claim(t.Context(), []string{"a", "b"}); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("the second got %q of what was released", got)
		}
	})
}

func TestClaimRunsOut(t *testing.T) {
	onEachRedis(t, func(t *testing.T, url string) {
		newLive(t, url).Claim(t.Context(), []string{"a"})
		options, err := redis.ParseURL(url)
		if err != nil {
			t.Fatal(err)
		}
		client := redis.NewClient(options)
		defer client.Close()
		left, err := client.PTTL(t.Context(), "claim:a").Result()
		if err != nil || left <= 0 || left > live.ClaimLifetime {
			t.Errorf("a claim has %s left, %v; want at most %s", left, err, live.ClaimLifetime)
		}
	})
}

func TestClaimWithoutRedisIsEverybodys(t *testing.T) {
	t.Parallel()
	l := newLogged(t, "redis://127.0.0.1:1", slog.DiscardHandler)
	names := []string{"a", "b"}
	if got := l.Claim(context.Background(), names); !slices.Equal(got, names) {
		t.Errorf("got %q, want all", got)
	}
	l.Release(context.Background(), names)
}

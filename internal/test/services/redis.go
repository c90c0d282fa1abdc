package services

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	leaseKey      = "gristmill:test:lease:"     // + number, in database 0, which no test is given
	leaseCounter  = "gristmill:test:lease:next" // spreads the first try, so that tests seldom meet
	leaseLifetime = time.Hour                   // longer than any test; frees what a killed test run held
	leaseWait     = 30 * time.Second
)

// release deletes a lease if it is still the caller's.
var release = redis.NewScript(`if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) end return 0`)

// Redis returns the URL of an empty Redis database that this test alone uses until it ends. Published messages and Lua scripts
// are shared by all databases of a server, in Redis itself: channels need names that no other test uses.
func Redis(t testing.TB) string {
	t.Helper()
	return Servers{}.Redis(t)
}

// Redis is the function of that name, on the servers of the set.
func (s Servers) Redis(t testing.TB) string {
	t.Helper()
	server := s.setting(t, envRedisURL)
	options, err := redis.ParseURL(server)
	if err != nil {
		t.Fatalf("%s: %v", envRedisURL, err)
	}
	options.DB = 0
	registry := redis.NewClient(options)
	t.Cleanup(func() { _ = registry.Close() })

	owner := uniqueName(t, '-')
	ctx, cancel := context.WithTimeout(t.Context(), leaseWait)
	defer cancel()
	number, err := leaseDatabase(ctx, registry, owner)
	if err != nil {
		t.Fatalf("lease a Redis database: %v", err)
	}
	own := *options
	own.DB = number
	database := redis.NewClient(&own)
	t.Cleanup(func() {
		ctx, cancel := cleanupContext()
		defer cancel()
		// Emptied before it is given back; a test run that was killed could not, so it is emptied below too.
		if err := database.FlushDB(ctx).Err(); err != nil {
			t.Errorf("empty Redis database %d: %v", number, err)
		}
		if err := release.Run(ctx, registry, []string{leaseKey + strconv.Itoa(number)}, owner).Err(); err != nil {
			t.Errorf("give back Redis database %d: %v", number, err)
		}
		_ = database.Close()
	})
	if err := database.FlushDB(ctx).Err(); err != nil {
		t.Fatalf("empty Redis database %d: %v", number, err)
	}
	address, err := url.Parse(server)
	if err != nil {
		t.Fatalf("%s: %v", envRedisURL, err)
	}
	address.Path = "/" + strconv.Itoa(number)
	return address.String()
}

// leaseDatabase takes a database number that nobody holds, and waits for one until ctx ends.
func leaseDatabase(ctx context.Context, registry *redis.Client, owner string) (int, error) {
	count := 16 // Redis's own default, for a server that does not let us ask
	if answer, err := registry.ConfigGet(ctx, "databases").Result(); err == nil {
		if n, err := strconv.Atoi(answer["databases"]); err == nil {
			count = n
		}
	}
	if count < 2 {
		return 0, fmt.Errorf("the server has %d database: tests need one besides number 0", count)
	}
	retry := time.NewTicker(100 * time.Millisecond)
	defer retry.Stop()
	for {
		first, err := registry.Incr(ctx, leaseCounter).Result()
		if err != nil {
			return 0, err
		}
		for i := range count - 1 {
			number := 1 + (int(first%int64(count-1))+i)%(count-1)
			taken, err := registry.SetNX(ctx, leaseKey+strconv.Itoa(number), owner, leaseLifetime).Result()
			if err != nil {
				return 0, err
			}
			if taken {
				return number, nil
			}
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return 0, fmt.Errorf("all %d databases are held by other tests: %w", count-1, ctx.Err())
		}
	}
}

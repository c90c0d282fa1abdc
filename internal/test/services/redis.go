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
	leaseKey      = "gristmill:test:lease:"     // + number, in database 0, which no test gets
	leaseCounter  = "gristmill:test:lease:next" // spreads the first tries, so that tests seldom compete
	leaseLifetime = time.Hour                   // longer than any test; frees the databases of a killed test run
	leaseWait     = 30 * time.Second
)

// releaseLease deletes a lease if the caller still owns it.
var releaseLease = redis.NewScript(`if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) end return 0`)

// Redis returns the URL of an empty Redis database that only this test uses until it ends. Redis
// shares published messages and Lua scripts among all databases of a server: a test must use unique
// channel names.
func Redis(t testing.TB) string {
	t.Helper()
	return Servers{}.Redis(t)
}

// Redis does what the function Redis does, on these servers.
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
		// Empties the database before it releases the lease. A killed test run does not do this, so
		// the database is also emptied below.
		if err := database.FlushDB(ctx).Err(); err != nil {
			t.Errorf("empty Redis database %d: %v", number, err)
		}
		if err := releaseLease.Run(ctx, registry, []string{leaseKey + strconv.Itoa(number)}, owner).Err(); err != nil {
			t.Errorf("release Redis database %d: %v", number, err)
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

// leaseDatabase leases a database number that no test holds. Waits for one until ctx ends.
func leaseDatabase(ctx context.Context, registry *redis.Client, owner string) (int, error) {
	count := 16 // Redis's default, for a server that refuses CONFIG GET
	if answer, err := registry.ConfigGet(ctx, "databases").Result(); err == nil {
		if n, err := strconv.Atoi(answer["databases"]); err == nil {
			count = n
		}
	}
	if count < 2 {
		return 0, fmt.Errorf("the server has %d databases: tests need at least one in addition to number 0", count)
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

package progress

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// lockTTL is how long a claim outlives a process that died holding it.
const lockTTL = 15 * time.Second

// acquireLocksScript sets those of the keys that nobody else has set, and returns for
// each whether it is the caller's now: one round trip, however many.
var acquireLocksScript = redis.NewScript(`
	local ours = {}
	for i, key in ipairs(KEYS) do
		local holder = redis.call('GET', key)
		ours[i] = 0
		if not holder or holder == ARGV[1] then
			redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
			ours[i] = 1
		end
	end
	return ours`)

// releaseLocksScript removes those of the keys that are still the caller's: another
// may have claimed one since its time ran out.
var releaseLocksScript = redis.NewScript(`
	for _, key in ipairs(KEYS) do
		if redis.call('GET', key) == ARGV[1] then redis.call('DEL', key) end
	end
	return 0`)

// AcquireLocks returns those of the names that no other process holds: they are this
// one's until it releases them, and for 15 s unless it claims them again. While
// Redis cannot be reached everything is.
func (l *Store) AcquireLocks(ctx context.Context, names []string) []string {
	var held []bool
	err := l.withBreaker(ctx, func(ctx context.Context) (err error) {
		held, err = acquireLocksScript.Run(ctx, l.redis, lockKeys(names), l.processID, lockTTL.Milliseconds()).BoolSlice()
		return err
	})
	if err != nil {
		return names // the breaker has logged it
	}
	var ours []string
	for i, name := range names {
		if held[i] {
			ours = append(ours, name)
		}
	}
	return ours
}

// ReleaseLocks gives claims back. Those that cannot be given back run out.
func (l *Store) ReleaseLocks(ctx context.Context, names []string) {
	_ = l.withBreaker(ctx, func(ctx context.Context) error {
		return releaseLocksScript.Run(ctx, l.redis, lockKeys(names), l.processID).Err()
	})
}

func lockKeys(names []string) []string {
	keys := make([]string, len(names))
	for i, name := range names {
		keys[i] = "claim:" + name
	}
	return keys
}

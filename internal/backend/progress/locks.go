package progress

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// lockTTL is how long a lock remains after its process has died.
const lockTTL = 15 * time.Second

// acquireLocksScript sets the keys that no other process has set, and returns for each key whether
// the caller holds it. It takes one round trip for any number of keys.
var acquireLocksScript = redis.NewScript(`
	local acquired = {}
	for i, key in ipairs(KEYS) do
		local holder = redis.call('GET', key)
		acquired[i] = 0
		if not holder or holder == ARGV[1] then
			redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
			acquired[i] = 1
		end
	end
	return acquired`)

// releaseLocksScript removes the keys that the caller still holds: another process may have
// acquired a key after it expired.
var releaseLocksScript = redis.NewScript(`
	for _, key in ipairs(KEYS) do
		if redis.call('GET', key) == ARGV[1] then redis.call('DEL', key) end
	end
	return 0`)

// AcquireLocks returns the names that no other process holds. The caller holds them until it
// releases them, or for 15 s unless it acquires them again. If Redis cannot be reached, it returns
// all names.
func (l *Store) AcquireLocks(ctx context.Context, names []string) []string {
	var held []bool
	err := l.guard.Do(ctx, "acquire locks", func(ctx context.Context) (err error) {
		held, err = acquireLocksScript.Run(ctx, l.redis, lockKeys(names), l.processID, lockTTL.Milliseconds()).BoolSlice()
		return err
	})
	if err != nil {
		return names // the guard has logged it
	}
	var acquired []string
	for i, name := range names {
		if held[i] {
			acquired = append(acquired, name)
		}
	}
	return acquired
}

// ReleaseLocks releases locks. If Redis cannot be reached, they expire.
func (l *Store) ReleaseLocks(ctx context.Context, names []string) {
	_ = l.guard.Do(ctx, "release locks", func(ctx context.Context) error {
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

package progress

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

// Hold is a model that is not asked, for all processes.
type Hold struct {
	Model     string // its provider's host and its name
	Kind      fault.Kind
	Reason    string
	Remaining time.Duration // until it is tried next; 0 while it is, or when nobody asks
	Tries     int           // that have failed since the hold began
}

// retryHeldModelScript ends the wait of a hold, so that the next request tries the model,
// unless one does already. It returns 1 when it is held.
var retryHeldModelScript = redis.NewScript(`
	local is = redis.call('HMGET', KEYS[1], 'until', 'trying')
	if not is[1] then return 0 end
	if is[2] == '1' then return 1 end
	local now = redis.call('TIME')
	redis.call('HSET', KEYS[1], 'until', now[1] * 1000000 + now[2], 'trying', 0, 'tries', 0)
	return 1`)

// Holds returns the models that are held, by name: all that Redis knows of, or
// while it cannot be reached those of this process, beside the error.
func (p *RateLimiter) Holds(ctx context.Context) ([]Hold, error) {
	holds := p.local.holds()
	err := p.store.withBreaker(ctx, func(ctx context.Context) error {
		shared, err := p.readHolds(ctx)
		if err == nil {
			holds = shared
		}
		return err
	})
	slices.SortFunc(holds, func(a, b Hold) int { return cmp.Compare(a.Model, b.Model) })
	return holds, err
}

// readHolds reads what is held from Redis, and takes those that no longer are
// out of its list.
func (p *RateLimiter) readHolds(ctx context.Context) ([]Hold, error) {
	names, err := p.store.redis.SMembers(ctx, heldModelsKey).Result()
	if err != nil || len(names) == 0 {
		return nil, err
	}
	var now *redis.TimeCmd
	states := make([]*redis.SliceCmd, len(names))
	if _, err := p.store.redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		now = pipe.Time(ctx)
		for i, name := range names {
			states[i] = pipe.HMGet(ctx, modelKeys(name)[0], "until", "tries", "kind", "why", "trying")
		}
		return nil
	}); err != nil {
		return nil, err
	}
	var holds []Hold
	var over []any
	for i, name := range names {
		read := func(field int) string { s, _ := states[i].Val()[field].(string); return s }
		if read(0) == "" {
			over = append(over, name)
			continue
		}
		until, _ := strconv.ParseInt(read(0), 10, 64)
		tries, _ := strconv.Atoi(read(1))
		left := max(time.UnixMicro(until).Sub(now.Val()), 0)
		if read(4) == "1" { // until is when the try counts as lost
			left = 0
		}
		holds = append(holds, Hold{Model: name, Kind: fault.Kind(read(2)), Reason: read(3), Remaining: left, Tries: tries})
	}
	if len(over) > 0 {
		// One that is held again just now is listed again by its next hold.
		if err := p.store.redis.SRem(ctx, heldModelsKey, over...).Err(); err != nil {
			return nil, err
		}
	}
	return holds, nil
}

// RetryHeldModel ends the wait of a hold: the next request, of whatever process, tries
// the model, and the others follow if it answers. It reports whether the model
// was held.
func (p *RateLimiter) RetryHeldModel(ctx context.Context, name string) (held bool, err error) {
	p.local.retryHeldModel(name)
	err = p.store.withBreaker(ctx, func(ctx context.Context) (err error) {
		held, err = retryHeldModelScript.Run(ctx, p.store.redis, modelKeys(name)).Bool()
		return err
	})
	return held, err
}

// RetryHeldModels is Hurry for every model that is held. While Redis cannot be reached
// that is of this process only.
func (p *RateLimiter) RetryHeldModels(ctx context.Context) {
	holds, _ := p.Holds(ctx)
	for _, hold := range holds {
		_, _ = p.RetryHeldModel(ctx, hold.Model)
	}
}

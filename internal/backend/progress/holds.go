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

// Hold describes a model that gets no requests from any process.
type Hold struct {
	Model     string // host of its provider and name of the model
	Kind      fault.Kind
	Reason    string
	Remaining time.Duration // until the next try; 0 while a request tries the model, or if the wait has ended
	Tries     int           // failed tries since the hold began
}

// retryHeldModelScript ends the wait of a hold, so that the next request tries the model, unless a
// request tries it already. It returns 1 if the model is held.
var retryHeldModelScript = redis.NewScript(`
	local state = redis.call('HMGET', KEYS[1], 'until', 'trying')
	if not state[1] then return 0 end
	if state[2] == '1' then return 1 end
	local now = redis.call('TIME')
	redis.call('HSET', KEYS[1], 'until', now[1] * 1000000 + now[2], 'trying', 0, 'tries', 0)
	return 1`)

// Holds returns the models that are held, by name: those that Redis knows of or, if Redis cannot be
// reached, those of this process together with an error.
func (p *RateLimiter) Holds(ctx context.Context) ([]Hold, error) {
	holds := p.local.holds()
	err := p.store.guard.Do(ctx, "list held models", func(ctx context.Context) error {
		shared, err := p.readHolds(ctx)
		if err == nil {
			holds = shared
		}
		return err
	})
	slices.SortFunc(holds, func(a, b Hold) int { return cmp.Compare(a.Model, b.Model) })
	return holds, err
}

// readHolds reads the holds from Redis, and removes models whose hold has ended from the set of
// held models.
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
		if read(4) == "1" { // until is the deadline of the try
			left = 0
		}
		holds = append(holds, Hold{Model: name, Kind: fault.Kind(read(2)), Reason: read(3), Remaining: left, Tries: tries})
	}
	if len(over) > 0 {
		// If one of them is held again meanwhile, its next hold adds it to the set again.
		if err := p.store.redis.SRem(ctx, heldModelsKey, over...).Err(); err != nil {
			return nil, err
		}
	}
	return holds, nil
}

// RetryHeldModel ends the wait of a hold: the next request of any process tries the model, and the
// other requests follow if it answers. It reports whether the model was held.
func (p *RateLimiter) RetryHeldModel(ctx context.Context, name string) (held bool, err error) {
	p.local.retryHeldModel(name)
	err = p.store.guard.Do(ctx, "retry a held model", func(ctx context.Context) (err error) {
		held, err = retryHeldModelScript.Run(ctx, p.store.redis, modelKeys(name)).Bool()
		return err
	})
	return held, err
}

// RetryHeldModels calls RetryHeldModel for every held model. If Redis cannot be reached, it affects
// this process only.
func (p *RateLimiter) RetryHeldModels(ctx context.Context) {
	holds, _ := p.Holds(ctx)
	for _, hold := range holds {
		_, _ = p.RetryHeldModel(ctx, hold.Model)
	}
}

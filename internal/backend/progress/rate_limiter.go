package progress

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

const (
	// limitShare and limitBurst keep requests below a provider's limits. In any minute at most
	// limitShare of a limit is used, plus what was saved up during limitBurst: together 95 % of the
	// limit, and one more request.
	limitShare = 0.9
	limitBurst = 3 * time.Second

	// maxWait bounds the wait of every request, whatever a provider asks for and however much is
	// booked. After that the model is tried.
	maxWait = 10 * time.Minute

	// tryLease is how long the request that tries a held model may take before another request
	// tries it. tryPollInterval is the wait of the other requests before they ask again.
	tryLease        = 10 * time.Second
	tryPollInterval = 250 * time.Millisecond

	// limitsTTL is how long limits are remembered after they were last set. They are written again
	// after limitsRefreshInterval, in case Redis has lost them.
	limitsTTL             = time.Hour
	limitsRefreshInterval = time.Minute
)

// RateLimiter keeps all processes together below the limits of a model's provider. When the
// provider asks one process for a pause, or one process finds the model broken, all of them stop
// sending requests to it. If Redis cannot be reached, each process limits its own requests. A model
// is named by the host of its provider and its name.
//
// The hash pace:NAME holds the state of a model. requests and tokens are the limits per minute.
// due_requests and due_tokens are the times at which all booked requests are paid off. While the
// model is held, until, kind and why describe the hold, tries counts the tries since it began, and
// trying says whether a request tries the model now. Times are microseconds of Redis's clock. The
// set paces:held names the models that are held, and some whose hold has ended.
type RateLimiter struct {
	store *Store
	local localRateLimiter
}

// NewRateLimiter returns a rate limiter that shares its state through l's Redis.
func NewRateLimiter(l *Store) *RateLimiter { return &RateLimiter{store: l} }

// The rate follows the generic cell rate algorithm (GCRA): a request is due when the requests
// before it are paid off; a request of cost c takes c times the interval of a request of cost 1 to
// pay off. A request may be sent limitBurst before it is due, whatever its cost, because a batch
// may be larger than any sensible burst. A due time is never more than maxWait ahead.
//
// One script does everything: a request should take one round trip, and if one of two limits
// refuses a request, the other must not be charged.
var reserveScript = redis.NewScript(`
	local tokens, urgent, accepted_wait = ARGV[1], ARGV[2] == '1', tonumber(ARGV[3])
	local minute, burst, lease, poll, longest = ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7]), ARGV[8]
	local now = redis.call('TIME')
	now = now[1] * 1000000 + now[2]
	local state = redis.call('HMGET', KEYS[1], 'until', 'trying', 'tries', 'kind', 'why')
	local try = 0
	if state[1] then
		local left = state[1] - now
		if left > 0 then
			if state[2] == '1' then left = math.min(left, poll) end
			return {left, 0, state[4], state[5]}
		end
		try = (state[3] or 0) + 1
		redis.call('HSET', KEYS[1], 'until', now + lease, 'trying', 1, 'tries', try)
	end
	local limits = redis.call('HMGET', KEYS[1], 'requests', 'tokens', 'due_requests', 'due_tokens')
	local wait, book = 0, {}
	for i, cost in ipairs({1, tokens}) do
		if limits[i] then
			local due = math.min(math.max(limits[i+2] or 0, now), now + longest)
			wait = math.max(wait, due - now - burst)
			table.insert(book, ({'due_requests', 'due_tokens'})[i])
			table.insert(book, math.floor(math.min(due + cost * minute / limits[i], now + longest)))
		end
	end
	if urgent or try > 0 then wait = 0 end
	if wait <= accepted_wait and #book > 0 then redis.call('HSET', KEYS[1], unpack(book)) end
	return {wait, try}`)

// setLimitsScript sets the known limits, and deletes the unknown ones.
var setLimitsScript = redis.NewScript(`
	for i, field in ipairs({'requests', 'tokens'}) do
		if tonumber(ARGV[i]) > 0 then
			redis.call('HSET', KEYS[1], field, ARGV[i])
		else
			redis.call('HDEL', KEYS[1], field, 'due_' .. field)
		end
	end
	return redis.call('PEXPIRE', KEYS[1], ARGV[3])`)

// holdScript holds a model. It never shortens a hold. It returns 1 if the model was not held
// before.
var holdScript = redis.NewScript(`
	local now = redis.call('TIME')
	now = now[1] * 1000000 + now[2]
	local to = now + ARGV[1]
	local state = redis.call('HMGET', KEYS[1], 'until', 'trying')
	if state[1] and state[2] == '0' and tonumber(state[1]) >= to then return 0 end
	redis.call('HSET', KEYS[1], 'until', to, 'trying', 0, 'kind', ARGV[2], 'why', ARGV[3])
	redis.call('PEXPIRE', KEYS[1], ARGV[4])
	return state[1] and 0 or 1`)

// Reserve returns when a request of about the given number of tokens may be sent: after wait.
//
// If held is nil, the request may be sent after wait. It is booked if wait is at most acceptedWait;
// otherwise the caller must reserve again later. An urgent request is booked immediately.
//
// If held is not nil, the model is held for that reason, and the caller should reserve again after
// wait. When the wait of a hold has ended, one request may try the model while the others still
// wait. For that request try is the number of tries since the hold began, including itself. Its
// sender must call Hold or EndHold; if it does not, another request may try after ten seconds.
func (p *RateLimiter) Reserve(ctx context.Context, name string, tokens int, urgent bool, acceptedWait time.Duration) (wait time.Duration, try int, held *fault.Error) {
	var answer []any
	err := p.store.guard.Do(ctx, "reserve a request", func(ctx context.Context) (err error) {
		answer, err = reserveScript.Run(ctx, p.store.redis, modelKeys(name), tokens, urgent, acceptedWait.Microseconds(),
			float64(time.Minute.Microseconds())/limitShare, limitBurst.Microseconds(), tryLease.Microseconds(), tryPollInterval.Microseconds(), maxWait.Microseconds()).Slice()
		return err
	})
	if err != nil {
		return p.local.reserve(name, tokens, urgent, acceptedWait)
	}
	wait = time.Duration(answer[0].(int64)) * time.Microsecond
	if len(answer) == 2 {
		return wait, int(answer[1].(int64)), nil
	}
	return wait, 0, fault.New(fault.Kind(answer[2].(string)), "%s", answer[3])
}

// SetLimits sets the requests and tokens per minute that the provider allows, 0 where it names no
// limit. It may be called after every response: limits that have not changed cause no round trip.
func (p *RateLimiter) SetLimits(ctx context.Context, name string, requests, tokens int) {
	if !p.local.setLimits(name, requests, tokens) {
		return
	}
	_ = p.store.guard.Do(ctx, "set limits", func(ctx context.Context) error {
		return setLimitsScript.Run(ctx, p.store.redis, modelKeys(name), requests, tokens, limitsTTL.Milliseconds()).Err()
	})
}

// Hold stops all requests to the model for reason.RetryAfter, but not longer than maxWait. After
// that one request tries the model first. Hold reports whether the hold began now, that is, whether
// the model was not held before.
func (p *RateLimiter) Hold(ctx context.Context, name string, reason *fault.Error) (began bool) {
	reason = reason.WithRetryAfter(min(reason.RetryAfter, maxWait))
	err := p.store.guard.Do(ctx, "hold a model", func(ctx context.Context) (err error) {
		if began, err = holdScript.Run(ctx, p.store.redis, modelKeys(name), reason.RetryAfter.Microseconds(), string(reason.Kind), reason.Detail,
			(reason.RetryAfter + limitsTTL).Milliseconds()).Bool(); err != nil {
			return err
		}
		return p.store.redis.SAdd(ctx, heldModelsKey, name).Err()
	})
	if err != nil {
		return p.local.hold(name, reason)
	}
	return began
}

// EndHold lets requests to the model resume. It reports whether the model was held.
func (p *RateLimiter) EndHold(ctx context.Context, name string) (ended bool) {
	err := p.store.guard.Do(ctx, "end a hold", func(ctx context.Context) error {
		n, err := p.store.redis.HDel(ctx, modelKeys(name)[0], "until", "trying", "tries", "kind", "why").Result()
		ended = n > 0
		return err
	})
	// The hold may have begun while Redis could not be reached.
	return p.local.endHold(name) || err == nil && ended
}

const heldModelsKey = "paces:held"

func modelKeys(name string) []string { return []string{fmt.Sprint("pace:", name)} }

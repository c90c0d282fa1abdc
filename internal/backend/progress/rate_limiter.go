package progress

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

const (
	// limitShare and paceBurst keep below a provider's limits: in any minute at
	// most paceShare of a limit and what was saved up in paceBurst, together
	// 95 % of it, and one request more.
	limitShare = 0.9
	limitBurst = 3 * time.Second

	// maxWait bounds what anybody waits, whatever a provider says and
	// however much was booked: then the model is tried.
	maxWait = 10 * time.Minute

	// tryLease is how long the request that tries a held model may be silent
	// before another one tries; tryPoll, when the others ask again meanwhile.
	tryLease        = 10 * time.Second
	tryPollInterval = 250 * time.Millisecond

	// limitsTTL is how long limits are remembered after they were last
	// learnt; they are written again after relearn, lest Redis lost them.
	limitsTTL             = time.Hour
	limitsRefreshInterval = time.Minute
)

// RateLimiter keeps all processes that ask one model together below the limits of its
// provider, and has all of them leave it alone when one of them was told to,
// or found it broken. While Redis cannot be reached each process keeps a pace
// of its own. A model is named by its provider and its own name.
//
// It is the hash pace:NAME: requests and tokens, the limits a minute; due_requests
// and due_tokens, when all that was booked is paid off; and while the model is
// held until, kind and why, the number of tries since, and whether one is under
// way. Times are microseconds of Redis's clock. The set paces:held names the
// models that are held, and some that no longer are.
type RateLimiter struct {
	store *Store
	local localRateLimiter
}

// NewRateLimiter returns the pace that is shared through l's Redis.
func NewRateLimiter(l *Store) *RateLimiter { return &RateLimiter{store: l} }

// The rate is kept by the generic cell rate algorithm: a request of cost c is
// due when the one before it is paid off, which takes c times the interval
// between two of cost 1. It may be sent paceBurst before it is due, however
// much it costs: a batch may be larger than any sensible burst. What is due is
// never further away than longestWait.
//
// Everything is one script, because a request should cost one round trip, and
// because of two limits one must not be charged when the other refuses.
var reserveScript = redis.NewScript(`
	local tokens, urgent, patience = ARGV[1], ARGV[2] == '1', tonumber(ARGV[3])
	local minute, burst, lease, poll, longest = ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7]), ARGV[8]
	local now = redis.call('TIME')
	now = now[1] * 1000000 + now[2]
	local is = redis.call('HMGET', KEYS[1], 'until', 'trying', 'tries', 'kind', 'why')
	local try = 0
	if is[1] then
		local left = is[1] - now
		if left > 0 then
			if is[2] == '1' then left = math.min(left, poll) end
			return {left, 0, is[4], is[5]}
		end
		try = (is[3] or 0) + 1
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
	if wait <= patience and #book > 0 then redis.call('HSET', KEYS[1], unpack(book)) end
	return {wait, try}`)

// setLimitsScript sets what is known of the limits, and forgets what is not.
var setLimitsScript = redis.NewScript(`
	for i, field in ipairs({'requests', 'tokens'}) do
		if tonumber(ARGV[i]) > 0 then
			redis.call('HSET', KEYS[1], field, ARGV[i])
		else
			redis.call('HDEL', KEYS[1], field, 'due_' .. field)
		end
	end
	return redis.call('PEXPIRE', KEYS[1], ARGV[3])`)

// holdScript never shortens a hold. It returns 1 when there was none.
var holdScript = redis.NewScript(`
	local now = redis.call('TIME')
	now = now[1] * 1000000 + now[2]
	local to = now + ARGV[1]
	local is = redis.call('HMGET', KEYS[1], 'until', 'trying')
	if is[1] and is[2] == '0' and tonumber(is[1]) >= to then return 0 end
	redis.call('HSET', KEYS[1], 'until', to, 'trying', 0, 'kind', ARGV[2], 'why', ARGV[3])
	redis.call('PEXPIRE', KEYS[1], ARGV[4])
	return is[1] and 0 or 1`)

// Reserve says when a request of about that many tokens may be sent: after wait.
//
// Where held is nil, that is the request's turn. It is booked when wait is no
// longer than patience, and else must be asked for again. An urgent request is
// booked at once.
//
// Where held is not nil the model is held, for the reason that it gives, and
// wait is how long until it is worth asking again. When a hold has run out one
// request may try the model, while the others still wait: for it, try counts
// the requests that have tried in vain, and itself. Its sender must call Hold or
// Release; if it does not, another request may try after ten seconds.
func (p *RateLimiter) Reserve(ctx context.Context, name string, tokens int, urgent bool, patience time.Duration) (wait time.Duration, try int, held *fault.Error) {
	var answer []any
	err := p.store.withBreaker(ctx, func(ctx context.Context) (err error) {
		answer, err = reserveScript.Run(ctx, p.store.redis, modelKeys(name), tokens, urgent, patience.Microseconds(),
			float64(time.Minute.Microseconds())/limitShare, limitBurst.Microseconds(), tryLease.Microseconds(), tryPollInterval.Microseconds(), maxWait.Microseconds()).Slice()
		return err
	})
	if err != nil {
		return p.local.reserve(name, tokens, urgent, patience)
	}
	wait = time.Duration(answer[0].(int64)) * time.Microsecond
	if len(answer) == 2 {
		return wait, int(answer[1].(int64)), nil
	}
	return wait, 0, fault.New(fault.Kind(answer[2].(string)), "%s", answer[3])
}

// SetLimits notes how many requests and tokens a minute the provider allows, 0
// where it does not say. It may be called after every answer: what is known
// already costs nothing.
func (p *RateLimiter) SetLimits(ctx context.Context, name string, requests, tokens int) {
	if !p.local.setLimits(name, requests, tokens) {
		return
	}
	_ = p.store.withBreaker(ctx, func(ctx context.Context) error {
		return setLimitsScript.Run(ctx, p.store.redis, modelKeys(name), requests, tokens, limitsTTL.Milliseconds()).Err()
	})
}

// Hold has nobody ask the model for why.RetryAfter, or longestWait if that is
// shorter, and then one request try it first. It reports whether this begins:
// whether the model was not held before.
func (p *RateLimiter) Hold(ctx context.Context, name string, why *fault.Error) (began bool) {
	why = why.WithRetryAfter(min(why.RetryAfter, maxWait))
	err := p.store.withBreaker(ctx, func(ctx context.Context) (err error) {
		if began, err = holdScript.Run(ctx, p.store.redis, modelKeys(name), why.RetryAfter.Microseconds(), string(why.Kind), why.Detail,
			(why.RetryAfter + limitsTTL).Milliseconds()).Bool(); err != nil {
			return err
		}
		return p.store.redis.SAdd(ctx, heldModelsKey, name).Err()
	})
	if err != nil {
		return p.local.hold(name, why)
	}
	return began
}

// EndHold has the model asked again. It reports whether it was held.
func (p *RateLimiter) EndHold(ctx context.Context, name string) (ended bool) {
	err := p.store.withBreaker(ctx, func(ctx context.Context) error {
		n, err := p.store.redis.HDel(ctx, modelKeys(name)[0], "until", "trying", "tries", "kind", "why").Result()
		ended = n > 0
		return err
	})
	// Redis may have been away when the hold began.
	return p.local.endHold(name) || err == nil && ended
}

const heldModelsKey = "paces:held"

func modelKeys(name string) []string { return []string{fmt.Sprint("pace:", name)} }

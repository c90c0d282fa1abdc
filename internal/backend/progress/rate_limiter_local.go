package progress

import (
	"sync"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

// localRateLimiter limits the requests of one process while it cannot reach Redis, by the same
// rules. The zero value is ready for use.
type localRateLimiter struct {
	mu     sync.Mutex
	models map[string]*modelState
}

// modelState is the state of one model.
type modelState struct {
	requests, tokens       int // limits per minute; 0 for none
	dueRequests, dueTokens time.Time
	limitsSetAt            time.Time // when they were last set

	holdReason *fault.Error // nil when the model is not held
	heldUntil  time.Time
	trying     bool
	tries      int
}

// maxModels bounds the models that are remembered, since users and reindexes name models. When
// there are more, all are forgotten.
const maxModels = 1000

func (o *localRateLimiter) model(name string) *modelState {
	if o.models == nil {
		o.models = map[string]*modelState{}
	}
	if o.models[name] == nil {
		if len(o.models) >= maxModels {
			clear(o.models)
		}
		o.models[name] = &modelState{}
	}
	return o.models[name]
}

func (o *localRateLimiter) reserve(name string, tokens int, urgent bool, acceptedWait time.Duration) (wait time.Duration, try int, held *fault.Error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p, now := o.model(name), time.Now()
	if p.holdReason != nil {
		left := p.heldUntil.Sub(now)
		switch {
		case left > 0 && p.trying:
			return min(left, tryPollInterval), 0, p.holdReason
		case left > 0:
			return left, 0, p.holdReason
		}
		p.heldUntil, p.trying = now.Add(tryLease), true
		p.tries++
		try = p.tries
	}
	requestsPaid, requestsWait := bookCost(now, p.dueRequests, p.requests, 1)
	tokensPaid, tokensWait := bookCost(now, p.dueTokens, p.tokens, tokens)
	wait = max(requestsWait, tokensWait)
	if urgent || try > 0 {
		wait = 0
	}
	if wait <= acceptedWait {
		p.dueRequests, p.dueTokens = requestsPaid, tokensPaid
	}
	return wait, try, nil
}

// bookCost returns when a cost would be paid off, and the wait until the request may be sent. due
// is when the requests before it are paid off.
func bookCost(now, due time.Time, limit, cost int) (paid time.Time, wait time.Duration) {
	if limit == 0 {
		return due, 0
	}
	ahead := min(max(due.Sub(now), 0), maxWait)
	interval := float64(time.Minute) / limitShare / float64(limit)
	paidAhead := min(float64(ahead)+float64(cost)*interval, float64(maxWait))
	return now.Add(time.Duration(paidAhead)), max(0, ahead-limitBurst)
}

// setLimits sets the limits of a model. It reports whether Redis must be updated: the limits have
// changed, or were not written for limitsRefreshInterval.
func (o *localRateLimiter) setLimits(name string, requests, tokens int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.model(name)
	if p.requests == requests && p.tokens == tokens && time.Since(p.limitsSetAt) < limitsRefreshInterval {
		return false
	}
	p.requests, p.tokens, p.limitsSetAt = requests, tokens, time.Now()
	return true
}

func (o *localRateLimiter) hold(name string, reason *fault.Error) (began bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p, until := o.model(name), time.Now().Add(reason.RetryAfter)
	began = p.holdReason == nil
	if began || p.trying || until.After(p.heldUntil) {
		p.holdReason, p.heldUntil, p.trying = fault.New(reason.Kind, "%s", reason.Detail), until, false
	}
	return began
}

func (o *localRateLimiter) endHold(name string) (ended bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.model(name)
	ended = p.holdReason != nil
	p.holdReason, p.trying, p.tries = nil, false, 0
	return ended
}

// holds returns the models that are held.
func (o *localRateLimiter) holds() (holds []Hold) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for name, p := range o.models {
		if p.holdReason == nil {
			continue
		}
		hold := Hold{Model: name, Kind: p.holdReason.Kind, Reason: p.holdReason.Detail, Tries: p.tries}
		if !p.trying {
			hold.Remaining = max(time.Until(p.heldUntil), 0)
		}
		holds = append(holds, hold)
	}
	return holds
}

// retryHeldModel ends the wait of a hold, so that the next request tries the model.
func (o *localRateLimiter) retryHeldModel(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if p := o.model(name); p.holdReason != nil && !p.trying {
		p.heldUntil, p.tries = time.Now(), 0
	}
}

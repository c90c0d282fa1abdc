package live

import (
	"sync"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// ownPace is the pace of one process, for while it cannot reach Redis, by the
// same rules. Its zero value is ready to use.
type ownPace struct {
	mu     sync.Mutex
	models map[string]*paced
}

// paced is what is known of one model.
type paced struct {
	requests, tokens       int // the limits; 0 for none
	dueRequests, dueTokens time.Time
	learnt                 time.Time // when they were last learnt anew

	why    *fault.Error // nil when the model is not held
	until  time.Time
	trying bool
	tries  int
}

// maxPaced is how many models are known, since reindexes and people name models:
// of more, all are met anew.
const maxPaced = 1000

func (o *ownPace) of(name string) *paced {
	if o.models == nil {
		o.models = map[string]*paced{}
	}
	if o.models[name] == nil {
		if len(o.models) >= maxPaced {
			clear(o.models)
		}
		o.models[name] = &paced{}
	}
	return o.models[name]
}

func (o *ownPace) reserve(name string, tokens int, urgent bool, patience time.Duration) (wait time.Duration, try int, held *fault.Error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p, now := o.of(name), time.Now()
	if p.why != nil {
		left := p.until.Sub(now)
		switch {
		case left > 0 && p.trying:
			return min(left, tryPoll), 0, p.why
		case left > 0:
			return left, 0, p.why
		}
		p.until, p.trying = now.Add(tryLease), true
		p.tries++
		try = p.tries
	}
	requestsPaid, requestsWait := book(now, p.dueRequests, p.requests, 1)
	tokensPaid, tokensWait := book(now, p.dueTokens, p.tokens, tokens)
	wait = max(requestsWait, tokensWait)
	if urgent || try > 0 {
		wait = 0
	}
	if wait <= patience {
		p.dueRequests, p.dueTokens = requestsPaid, tokensPaid
	}
	return wait, try, nil
}

// book returns when a cost would be paid off, and how long until it may be
// incurred.
func book(now, due time.Time, limit, cost int) (paid time.Time, wait time.Duration) {
	if limit == 0 {
		return due, 0
	}
	ahead := min(max(due.Sub(now), 0), longestWait)
	interval := float64(time.Minute) / paceShare / float64(limit)
	paidAhead := min(float64(ahead)+float64(cost)*interval, float64(longestWait))
	return now.Add(time.Duration(paidAhead)), max(0, ahead-paceBurst)
}

// learn reports whether this is news, or has not been told for a while.
func (o *ownPace) learn(name string, requests, tokens int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.of(name)
	if p.requests == requests && p.tokens == tokens && time.Since(p.learnt) < relearn {
		return false
	}
	p.requests, p.tokens, p.learnt = requests, tokens, time.Now()
	return true
}

func (o *ownPace) hold(name string, why *fault.Error) (began bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p, until := o.of(name), time.Now().Add(why.RetryAfter)
	began = p.why == nil
	if began || p.trying || until.After(p.until) {
		p.why, p.until, p.trying = fault.New(why.Kind, "%s", why.Detail), until, false
	}
	return began
}

func (o *ownPace) release(name string) (ended bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p := o.of(name)
	ended = p.why != nil
	p.why, p.trying, p.tries = nil, false, 0
	return ended
}

// holds returns the models that are held.
func (o *ownPace) holds() (holds []Hold) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for name, p := range o.models {
		if p.why == nil {
			continue
		}
		hold := Hold{Model: name, Kind: p.why.Kind, Reason: p.why.Detail, Tries: p.tries}
		if !p.trying {
			hold.Left = max(time.Until(p.until), 0)
		}
		holds = append(holds, hold)
	}
	return holds
}

// hurry ends the wait of a hold, so that the next request tries the model.
func (o *ownPace) hurry(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if p := o.of(name); p.why != nil && !p.trying {
		p.until, p.tries = time.Now(), 0
	}
}

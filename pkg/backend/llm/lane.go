package llm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/failsafe-go/failsafe-go/adaptivelimiter"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"golang.org/x/sync/singleflight"

	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/telemetry"
	"github.com/seed-7a112592/gristmill/pkg/writeback"
)

const (
	// The breaker opens after breakerFailures failed requests in a row. Where three
	// in ten fail, with which work can still be done, that happens once in a
	// quarter of a million requests. A timeout counts for more: it has taken
	// as long as very many quick failures.
	breakerFailures = 10
	timeoutFailures = 3

	// The limit of requests in flight is adjusted after limitSamples of them,
	// but not more often than limitInterval.
	limitSamples  = 20
	limitInterval = 200 * time.Millisecond
	limitPatience = 30 * time.Second
)

// errNotSent marks requests that were not sent, and are not to be tried again
// within the call.
var errNotSent = errors.New("not sent")

// lane is the way to one model of a provider. It decides how many requests may
// be in flight, by how the time they take changes with their number; when each
// may be sent, by the pace; and when to leave the model alone.
//
// The breaker counts failures of this process. That it is open concerns all
// processes, so it is a hold of the pace, which also has one request at a time
// probe; the breaker itself is closed again at once.
type lane struct {
	model   string
	name    string // in the pace
	urgent  bool
	slots   adaptivelimiter.AdaptiveLimiter[any]
	breaker circuitbreaker.CircuitBreaker[any]
	size    tokenSize
	own     ownFailures
	params  parameters
	probing singleflight.Group

	answers      atomic.Int64 // that the model has given, probes included
	probesFailed atomic.Int64
	doubtful     atomic.Bool  // what it says of limits that are used up
	disbelieved  atomic.Int64 // limit of tokens a minute that it has passed itself
	pace         Pace
	metrics      *telemetry.Metrics
	log          *slog.Logger
}

func (p *OpenAI) newLane(model string) *lane {
	// From the middle, so that it is seen what more requests do to the time they
	// take. Questions are few, and one that hangs must not hold up the next.
	most := uint(p.concurrency)
	least, first := uint(1), (most+1)/2
	if p.urgent {
		least, first = most, most
	}
	return &lane{
		model:  model,
		name:   p.host + "/" + model,
		urgent: p.urgent,
		slots: adaptivelimiter.NewBuilder[any]().
			WithLimits(least, most, first).
			WithMaxLimitFunc(func(int) float64 { return float64(most) }).
			WithRecentWindow(limitInterval, limitPatience, limitSamples).
			OnLimitChanged(func(e adaptivelimiter.LimitChangedEvent) {
				if !p.urgent { // the figure is about batches
					p.metrics.ObserveConcurrency(model, int(e.NewLimit))
				}
			}).
			Build(),
		breaker: circuitbreaker.NewBuilder[any]().WithFailureThreshold(breakerFailures).Build(),
		pace:    p.pace,
		metrics: p.metrics,
		log:     p.log.With("provider", p.host, "model", model),
	}
}

// pass is the right to send one request. Callers must call leave.
type pass struct {
	lane   *lane
	permit adaptivelimiter.Permit
	bytes  int
	waited bool
	try    int // as Pace has it
}

// enter waits for the right to send a request with the given number of bytes of
// text. A wait that would be long is refused: it is the task's. The slot is held
// while waiting: others would only wait too.
func (l *lane) enter(ctx context.Context, bytes int) (*pass, error) {
	permit, err := l.slots.AcquirePermit(ctx)
	if err != nil {
		return nil, err
	}
	p := &pass{lane: l, permit: permit, bytes: bytes}
	if err := p.await(ctx); err != nil {
		permit.Drop()
		return nil, err
	}
	return p, nil
}

func (p *pass) await(ctx context.Context) error {
	l := p.lane
	if err := checked(ctx); err != nil { // the wait for the slot may have been long
		return err
	}
	patience := quickWait
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(deadline))
	}
	for {
		wait, try, held := l.pace.Reserve(ctx, l.name, l.size.estimate(p.bytes), l.urgent, patience)
		l.metrics.ObserveHeld(l.model, held != nil)
		if wait > patience {
			l.metrics.ObserveWait(l.model, "refused")
			return l.refusal(wait, held)
		}
		if wait > 0 {
			l.metrics.ObserveWait(l.model, "waited")
			p.waited = true
			if err := sleep(ctx, wait); err != nil {
				return err
			}
			if err := checked(ctx); err != nil {
				return err
			}
			patience -= wait
		}
		if held == nil {
			p.try = try
			return nil
		}
	}
}

// checked says why a request is not sent although its turn has come: what it
// brings could not be written.
func checked(ctx context.Context) error {
	err := writeback.Check(ctx)
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errNotSent, err)
}

// refusal says why a request is not sent, and when it may be.
func (l *lane) refusal(wait time.Duration, held *fault.Error) error {
	wait = max(wait, rateLimitedWait)
	if held != nil {
		return fault.Wrap(held.Kind, errNotSent, "%s; model %s is not asked for another %s", held.Detail, l.model, wait.Round(time.Second)).After(wait)
	}
	// Those that are refused together should not come back together.
	wait += rand.N(wait / 2)
	return fault.Wrap(fault.RateLimited, errNotSent, "the provider's limit for model %s is used up for %s", l.model, wait.Round(time.Second)).After(wait)
}

// leave draws the conclusions from what became of a request, for all that ask
// this model, and returns its error. Whether a failure is the request's own is
// not known yet: that is isolate's to find out, and to have the model held.
func (p *pass) leave(ctx context.Context, err error, ex *exchange) error {
	l := p.lane
	if ctx.Err() != nil { // a caller who leaves says nothing about the provider
		p.permit.Drop()
		return err
	}
	ctx = context.WithoutCancel(ctx)
	if !p.waited && (err == nil || errors.Is(err, context.DeadlineExceeded)) {
		p.permit.Record()
	} else { // it tells nothing about how fast the provider is
		p.permit.Drop()
	}
	if ex.tokens > 0 {
		l.size.learn(p.bytes, ex.tokens)
	}
	answers := err == nil || hasVectors(err)
	if requests, tokens := limits(ex.header); requests > 0 || tokens > 0 {
		if answers && ex.tokens > tokens {
			l.disbelieved.Store(int64(tokens)) // it has just answered more than that
		}
		if int64(tokens) == l.disbelieved.Load() {
			tokens = 0
		}
		l.pace.Learn(ctx, l.name, requests, tokens)
	}
	if fault.Is(err, fault.RateLimited) {
		l.doubtful.Store(false)
		return l.blame(ctx, err, 1, p.try)
	}
	if answers {
		l.answered()
		if l.restUsedUp(ctx, p.try, ex.header) {
			return err
		}
	}
	if p.try > 0 && l.pace.Release(ctx, l.name) {
		l.log.InfoContext(ctx, "the provider answers again", "tries", p.try)
	}
	return err
}

// restUsedUp leaves the model alone when its answer says that a limit is used
// up. A provider that answers all the same when it is asked again is not
// believed, until it refuses a request.
func (l *lane) restUsedUp(ctx context.Context, try int, header http.Header) bool {
	wait := usedUp(header, time.Now(), false)
	if wait > 0 && try > 0 {
		l.doubtful.Store(true)
	}
	if wait == 0 || l.doubtful.Load() {
		return false
	}
	l.hold(ctx, fault.New(fault.RateLimited, "the provider's limit is used up").After(min(wait, time.Minute)))
	return true
}

// blame draws the conclusions from failures that are the provider's, or those
// of how it is configured, and returns the last with how long to wait.
func (l *lane) blame(ctx context.Context, err error, failures, try int) error {
	failure := fault.As(err)
	if failure == nil { // the caller's end
		return err
	}
	ctx = context.WithoutCancel(ctx)
	failure = fault.Wrap(failure.Kind, &judged{failure.Err}, "%s", failure.Detail).After(failure.RetryAfter)
	switch failure.Kind {
	case fault.RateLimited:
		failure = failure.After(cmp.Or(failure.RetryAfter, doubled(rateLimitedWait, try)))
	case fault.Misconfigured:
		failure = failure.After(doubled(misconfiguredWait, try))
	default:
		if !l.trip(err, failures) && try == 0 && failure.RetryAfter == 0 {
			if failure.Kind == fault.BrokenAnswer {
				return failure
			}
			return failure.After(unavailableWait)
		}
		failure.Kind = fault.Unavailable // it counts as an outage by now
		failure = failure.After(cmp.Or(failure.RetryAfter, doubled(unavailableWait, try)))
	}
	l.hold(ctx, failure)
	return failure
}

// answered notes that the model answers.
func (l *lane) answered() {
	l.breaker.RecordSuccess()
	l.answers.Add(1)
}

// trip counts failures and reports whether there are too many in a row.
func (l *lane) trip(err error, failures int) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		failures *= timeoutFailures
	}
	for range failures {
		l.breaker.RecordFailure()
	}
	if !l.breaker.IsOpen() {
		return false
	}
	l.breaker.Close()
	l.slots.Reset() // begin gently when it is back
	return true
}

func (l *lane) hold(ctx context.Context, why *fault.Error) {
	if l.pace.Hold(ctx, l.name, why) {
		l.log.WarnContext(ctx, "the model is held", "for", why.RetryAfter, "reason", why.Detail)
	}
	l.metrics.ObserveHeld(l.model, true)
}

// doubled doubles a wait with each try, up to a minute.
func doubled(wait time.Duration, tries int) time.Duration {
	return min(wait<<min(tries, 6), time.Minute)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tokenSize learns how many bytes of text the provider counts as a token,
// which depends on the model and the language. Its zero value knows nothing.
type tokenSize struct {
	mu            sync.Mutex
	bytes, tokens float64 // of the latest requests; older ones weigh less
}

// estimate returns about how many tokens a text has: four bytes each until
// more is known.
func (s *tokenSize) estimate(bytes int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(float64(bytes) * (s.tokens + 1) / (s.bytes + 4))
}

func (s *tokenSize) learn(bytes, tokens int) {
	const weight = 0.9 // of what was before
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes = s.bytes*weight + float64(bytes)
	s.tokens = s.tokens*weight + float64(tokens)
}

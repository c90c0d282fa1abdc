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

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/writeback"
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
	limitMinSamples = 20
	limitMinWindow  = 200 * time.Millisecond
	limitMaxWindow  = 30 * time.Second
)

// errNotSent marks requests that were not sent, and are not to be tried again
// within the call.
var errNotSent = errors.New("not sent")

// limiter is the way to one model of a provider. It decides how many requests may
// be in flight, by how the time they take changes with their number; when each
// may be sent, by the pace; and when to leave the model alone.
//
// The breaker counts failures of this process. That it is open concerns all
// processes, so it is a hold of the pace, which also has one request at a time
// probe; the breaker itself is closed again at once.
type limiter struct {
	model    string
	name     string // in the pace
	urgent   bool
	slots    adaptivelimiter.AdaptiveLimiter[any]
	breaker  circuitbreaker.CircuitBreaker[any]
	size     tokenSize
	failures failureCounter
	params   refusedParams
	probing  singleflight.Group

	answers           atomic.Int64 // that the model has given, probes included
	probesFailed      atomic.Int64
	ignoreUsedUp      atomic.Bool  // what it says of limits that are used up
	ignoredTokenLimit atomic.Int64 // limit of tokens a minute that it has passed itself
	rateLimiter       RateLimiter
	metrics           *telemetry.Metrics
	log               *slog.Logger
}

func (p *OpenAI) newLimiter(model string) *limiter {
	// From the middle, so that it is seen what more requests do to the time they
	// take. Questions are few, and one that hangs must not hold up the next.
	most := uint(p.concurrency)
	least, first := uint(1), (most+1)/2
	if p.urgent {
		least, first = most, most
	}
	return &limiter{
		model:  model,
		name:   p.host + "/" + model,
		urgent: p.urgent,
		slots: adaptivelimiter.NewBuilder[any]().
			WithLimits(least, most, first).
			WithMaxLimitFunc(func(int) float64 { return float64(most) }).
			WithRecentWindow(limitMinWindow, limitMaxWindow, limitMinSamples).
			OnLimitChanged(func(e adaptivelimiter.LimitChangedEvent) {
				if !p.urgent { // the figure is about batches
					p.metrics.ObserveProviderConcurrency(model, int(e.NewLimit))
				}
			}).
			Build(),
		breaker:     circuitbreaker.NewBuilder[any]().WithFailureThreshold(breakerFailures).Build(),
		rateLimiter: p.rateLimiter,
		metrics:     p.metrics,
		log:         p.log.With("provider", p.host, "model", model),
	}
}

// permit is the right to send one request. Callers must call leave.
type permit struct {
	limiter *limiter
	slot    adaptivelimiter.Permit
	bytes   int
	waited  bool
	try     int // as Pace has it
}

// acquire waits for the right to send a request with the given number of bytes of
// text. A wait that would be long is refused: it is the task's. The slot is held
// while waiting: others would only wait too.
func (l *limiter) acquire(ctx context.Context, bytes int) (*permit, error) {
	slot, err := l.slots.AcquirePermit(ctx)
	if err != nil {
		return nil, err
	}
	p := &permit{limiter: l, slot: slot, bytes: bytes}
	if err := p.waitForRate(ctx); err != nil {
		slot.Drop()
		return nil, err
	}
	return p, nil
}

func (p *permit) waitForRate(ctx context.Context) error {
	l := p.limiter
	if err := checkWritable(ctx); err != nil { // the wait for the slot may have been long
		return err
	}
	patience := quickWait
	if deadline, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(deadline))
	}
	for {
		wait, try, held := l.rateLimiter.Reserve(ctx, l.name, l.size.estimate(p.bytes), l.urgent, patience)
		l.metrics.ObserveProviderHeld(l.model, held != nil)
		if wait > patience {
			l.metrics.ObserveProviderWait(l.model, "refused")
			return l.waitTooLongError(wait, held)
		}
		if wait > 0 {
			l.metrics.ObserveProviderWait(l.model, "waited")
			p.waited = true
			if err := sleep(ctx, wait); err != nil {
				return err
			}
			if err := checkWritable(ctx); err != nil {
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

// checkWritable says why a request is not sent although its turn has come: what it
// brings could not be written.
func checkWritable(ctx context.Context) error {
	err := writeback.CheckBeforeSend(ctx)
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errNotSent, err)
}

// waitTooLongError says why a request is not sent, and when it may be.
func (l *limiter) waitTooLongError(wait time.Duration, held *fault.Error) error {
	wait = max(wait, rateLimitedWait)
	if held != nil {
		return fault.Wrap(held.Kind, errNotSent, "%s; model %s is not asked for another %s", held.Detail, l.model, wait.Round(time.Second)).WithRetryAfter(wait)
	}
	// Those that are refused together should not come back together.
	wait += rand.N(wait / 2)
	return fault.Wrap(fault.RateLimited, errNotSent, "the provider's limit for model %s is used up for %s", l.model, wait.Round(time.Second)).WithRetryAfter(wait)
}

// release draws the conclusions from what became of a request, for all that ask
// this model, and returns its error. Whether a failure is the request's own is
// not known yet: that is isolate's to find out, and to have the model held.
func (p *permit) release(ctx context.Context, err error, ex *exchange) error {
	l := p.limiter
	if ctx.Err() != nil { // a caller who leaves says nothing about the provider
		p.slot.Drop()
		return err
	}
	ctx = context.WithoutCancel(ctx)
	if !p.waited && (err == nil || errors.Is(err, context.DeadlineExceeded)) {
		p.slot.Record()
	} else { // it tells nothing about how fast the provider is
		p.slot.Drop()
	}
	if ex.tokens > 0 {
		l.size.update(p.bytes, ex.tokens)
	}
	answers := err == nil || hasVectors(err)
	if requests, tokens := headerLimits(ex.header); requests > 0 || tokens > 0 {
		if answers && ex.tokens > tokens {
			l.ignoredTokenLimit.Store(int64(tokens)) // it has just answered more than that
		}
		if int64(tokens) == l.ignoredTokenLimit.Load() {
			tokens = 0
		}
		l.rateLimiter.SetLimits(ctx, l.name, requests, tokens)
	}
	if fault.Is(err, fault.RateLimited) {
		l.ignoreUsedUp.Store(false)
		return l.recordProviderFailures(ctx, err, 1, p.try)
	}
	if answers {
		l.recordAnswer()
		if l.holdIfUsedUp(ctx, p.try, ex.header) {
			return err
		}
	}
	if p.try > 0 && l.rateLimiter.EndHold(ctx, l.name) {
		l.log.InfoContext(ctx, "the provider answers again", "tries", p.try)
	}
	return err
}

// holdIfUsedUp leaves the model alone when its answer says that a limit is used
// up. A provider that answers all the same when it is asked again is not
// believed, until it refuses a request.
func (l *limiter) holdIfUsedUp(ctx context.Context, try int, header http.Header) bool {
	wait := usedUpWait(header, time.Now(), false)
	if wait > 0 && try > 0 {
		l.ignoreUsedUp.Store(true)
	}
	if wait == 0 || l.ignoreUsedUp.Load() {
		return false
	}
	l.hold(ctx, fault.New(fault.RateLimited, "the provider's limit is used up").WithRetryAfter(min(wait, time.Minute)))
	return true
}

// recordProviderFailures draws the conclusions from failures that are the provider's, or those
// of how it is configured, and returns the last with how long to wait.
func (l *limiter) recordProviderFailures(ctx context.Context, err error, failures, try int) error {
	failure := fault.As(err)
	if failure == nil { // the caller's end
		return err
	}
	ctx = context.WithoutCancel(ctx)
	failure = fault.Wrap(failure.Kind, &providerFailure{failure.Err}, "%s", failure.Detail).WithRetryAfter(failure.RetryAfter)
	switch failure.Kind {
	case fault.RateLimited:
		failure = failure.WithRetryAfter(cmp.Or(failure.RetryAfter, doubleWait(rateLimitedWait, try)))
	case fault.Misconfigured:
		failure = failure.WithRetryAfter(doubleWait(misconfiguredWait, try))
	default:
		if !l.recordBreakerFailures(err, failures) && try == 0 && failure.RetryAfter == 0 {
			if failure.Kind == fault.InterruptedResponse {
				return failure
			}
			return failure.WithRetryAfter(unavailableWait)
		}
		failure.Kind = fault.Unavailable // it counts as an outage by now
		failure = failure.WithRetryAfter(cmp.Or(failure.RetryAfter, doubleWait(unavailableWait, try)))
	}
	l.hold(ctx, failure)
	return failure
}

// recordAnswer notes that the model answers.
func (l *limiter) recordAnswer() {
	l.breaker.RecordSuccess()
	l.answers.Add(1)
}

// recordBreakerFailures counts failures and reports whether there are too many in a row.
func (l *limiter) recordBreakerFailures(err error, failures int) bool {
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

func (l *limiter) hold(ctx context.Context, why *fault.Error) {
	if l.rateLimiter.Hold(ctx, l.name, why) {
		l.log.WarnContext(ctx, "the model is held", "for", why.RetryAfter, "reason", why.Detail)
	}
	l.metrics.ObserveProviderHeld(l.model, true)
}

// doubleWait doubles a wait with each try, up to a minute.
func doubleWait(wait time.Duration, tries int) time.Duration {
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

func (s *tokenSize) update(bytes, tokens int) {
	const weight = 0.9 // of what was before
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes = s.bytes*weight + float64(bytes)
	s.tokens = s.tokens*weight + float64(tokens)
}

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
	// The breaker opens after breakerFailures failed requests in a row. If three in ten requests
	// fail, with which work can still be done, that happens once in a quarter of a million
	// requests. A timeout counts as timeoutFailures, because it takes as long as very many quick
	// failures.
	breakerFailures = 10
	timeoutFailures = 3

	// The limit of requests in flight is adjusted after limitMinSamples requests, but not more
	// often than limitMinWindow.
	limitMinSamples = 20
	limitMinWindow  = 200 * time.Millisecond
	limitMaxWindow  = 30 * time.Second
)

// errNotSent marks requests that were not sent, and must not be retried within the call.
var errNotSent = errors.New("not sent")

// limiter limits the requests to one model of a provider. It decides how many requests may be in
// flight, by how their latency changes with their number; when each may be sent, by the rate
// limiter; and when the model is held.
//
// The breaker counts failures of this process. When it opens, that concerns all processes, so it
// becomes a hold in the rate limiter, which also lets one request at a time try the model; the
// breaker itself is closed again immediately.
type limiter struct {
	model    string
	name     string // in the rate limiter
	urgent   bool
	slots    adaptivelimiter.AdaptiveLimiter[any]
	breaker  circuitbreaker.CircuitBreaker[any]
	size     tokenSize
	failures failureCounter
	params   refusedParams
	probing  singleflight.Group

	answers           atomic.Int64 // of the model, including answers to probes
	probesFailed      atomic.Int64
	ignoreUsedUp      atomic.Bool  // ignore headers that say that a limit is used up
	ignoredTokenLimit atomic.Int64 // tokens per minute; the model has answered more, so the limit is ignored
	rateLimiter       RateLimiter
	metrics           *telemetry.Metrics
	log               *slog.Logger
}

func (p *OpenAI) newLimiter(model string) *limiter {
	// The limit starts in the middle, to see how more requests change the latency. Questions are
	// few, and one that hangs must not delay the next.
	highest := uint(p.concurrency)
	lowest, first := uint(1), (highest+1)/2
	if p.urgent {
		lowest, first = highest, highest
	}
	return &limiter{
		model:  model,
		name:   p.host + "/" + model,
		urgent: p.urgent,
		slots: adaptivelimiter.NewBuilder[any]().
			WithLimits(lowest, highest, first).
			WithMaxLimitFunc(func(int) float64 { return float64(highest) }).
			WithRecentWindow(limitMinWindow, limitMaxWindow, limitMinSamples).
			OnLimitChanged(func(e adaptivelimiter.LimitChangedEvent) {
				if !p.urgent { // the metric is about batches
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

// permit is the right to send one request. Callers must call release.
type permit struct {
	limiter *limiter
	slot    adaptivelimiter.Permit
	bytes   int
	waited  bool
	try     int // see RateLimiter.Reserve
}

// acquire waits for the permit to send a request with the given number of bytes of text. It returns
// an error instead of a long wait, so that the task waits and not the worker. It holds the slot
// while it waits for the rate limiter, because other requests would only wait as well.
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
	acceptedWait := quickWait
	if deadline, ok := ctx.Deadline(); ok {
		acceptedWait = min(acceptedWait, time.Until(deadline))
	}
	for {
		wait, try, held := l.rateLimiter.Reserve(ctx, l.name, l.size.estimate(p.bytes), l.urgent, acceptedWait)
		l.metrics.ObserveProviderHeld(l.model, held != nil)
		if wait > acceptedWait {
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
			acceptedWait -= wait
		}
		if held == nil {
			p.try = try
			return nil
		}
	}
}

// checkWritable returns an error if a request must not be sent although its turn has come, because
// its results could not be stored.
func checkWritable(ctx context.Context) error {
	err := writeback.CheckBeforeSend(ctx)
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errNotSent, err)
}

// waitTooLongError returns the error of a request that is not sent because it would have to wait.
func (l *limiter) waitTooLongError(wait time.Duration, held *fault.Error) error {
	wait = max(wait, rateLimitedWait)
	if held != nil {
		return fault.Wrap(held.Kind, errNotSent, "%s; no requests are sent to model %s for another %s", held.Detail, l.model, wait.Round(time.Second)).WithRetryAfter(wait)
	}
	// Requests that are refused together must not return together.
	wait += rand.N(wait / 2)
	return fault.Wrap(fault.RateLimited, errNotSent, "the provider's rate limit for model %s is used up for %s", l.model, wait.Round(time.Second)).WithRetryAfter(wait)
}

// release updates the state of the model with the result of a request, and returns the request's
// error. Whether the request itself caused a failure is not yet known: attributeFailure determines
// that and holds the model if necessary.
func (p *permit) release(ctx context.Context, err error, ex *exchange) error {
	l := p.limiter
	if ctx.Err() != nil { // a caller that leaves says nothing about the provider
		p.slot.Drop()
		return err
	}
	ctx = context.WithoutCancel(ctx)
	if !p.waited && (err == nil || errors.Is(err, context.DeadlineExceeded)) {
		p.slot.Record()
	} else { // it says nothing about the provider's latency
		p.slot.Drop()
	}
	if ex.tokens > 0 {
		l.size.update(p.bytes, ex.tokens)
	}
	answers := err == nil || hasVectors(err)
	if requests, tokens := headerLimits(ex.header); requests > 0 || tokens > 0 {
		if answers && ex.tokens > tokens {
			l.ignoredTokenLimit.Store(int64(tokens)) // a single response has just exceeded it
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

// holdIfUsedUp holds the model if the header of its response says that a limit is used up. If the
// provider answers a try in spite of that, such headers are ignored until it refuses a request.
func (l *limiter) holdIfUsedUp(ctx context.Context, try int, header http.Header) bool {
	wait := usedUpWait(header, time.Now(), false)
	if wait > 0 && try > 0 {
		l.ignoreUsedUp.Store(true)
	}
	if wait == 0 || l.ignoreUsedUp.Load() {
		return false
	}
	l.hold(ctx, fault.New(fault.RateLimited, "the provider's rate limit is used up").WithRetryAfter(min(wait, time.Minute)))
	return true
}

// recordProviderFailures updates the state of the model with failures that the provider or its
// configuration caused. It returns the last failure, with the wait before a retry.
func (l *limiter) recordProviderFailures(ctx context.Context, err error, failures, try int) error {
	failure := fault.As(err)
	if failure == nil { // the caller's context has ended
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
		failure.Kind = fault.Unavailable // it counts as an outage now
		failure = failure.WithRetryAfter(cmp.Or(failure.RetryAfter, doubleWait(unavailableWait, try)))
	}
	l.hold(ctx, failure)
	return failure
}

// recordAnswer records that the model answered.
func (l *limiter) recordAnswer() {
	l.breaker.RecordSuccess()
	l.answers.Add(1)
}

// recordBreakerFailures counts failures and reports whether there were too many in a row.
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
	l.slots.Reset() // start with few requests after the outage
	return true
}

func (l *limiter) hold(ctx context.Context, reason *fault.Error) {
	if l.rateLimiter.Hold(ctx, l.name, reason) {
		l.log.WarnContext(ctx, "the model is held", "for", reason.RetryAfter, "reason", reason.Detail)
	}
	l.metrics.ObserveProviderHeld(l.model, true)
}

// doubleWait doubles a wait for each try, up to a minute.
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

// tokenSize learns how many bytes of text the provider counts as a token, which depends on the
// model and the language. The zero value knows nothing.
type tokenSize struct {
	mu            sync.Mutex
	bytes, tokens float64 // of recent requests; older requests weigh less
}

// estimate estimates the number of tokens of a text: four bytes each until more is known.
func (s *tokenSize) estimate(bytes int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(float64(bytes) * (s.tokens + 1) / (s.bytes + 4))
}

func (s *tokenSize) update(bytes, tokens int) {
	const weight = 0.9 // of earlier requests
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes = s.bytes*weight + float64(bytes)
	s.tokens = s.tokens*weight + float64(tokens)
}

package llm

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/internal/provider"
)

const (
	// maxBatchFailures is after how many failures a request of several texts is
	// taken to be the cause of them, while the model answers others: its texts
	// can still be sent in smaller requests. That of a single text cannot, so
	// it has as many as the breaker.
	maxBatchFailures  = quickRetries + 1
	maxSingleFailures = breakerFailures

	maxCountedRequests = 1000 // requests remembered
)

// attributeFailure finds out whose a failure is: the request's, or the provider's. The
// model is held only for the provider's, so that a text which makes it fail
// costs only itself. What tells is whether the model answers others, and where
// none was sent meanwhile a probe:
//
//   - where it does not, or does not take the probe either, the failure is the
//     provider's, whatever its form;
//   - where it does, a refusal is about the texts, and so is an answer that is
//     none; any other failure that comes back again and again is, too, and
//     becomes fault.Refused. Until then the request is sent again, or its error
//     returned where that would take long.
//
// A request that sends the probe's text shows as much by itself.
// An answer that broke off stays one: it may have been paid for. How often a
// request failed is remembered beyond the call.
func (p *OpenAI) attributeFailure(ctx context.Context, lane *limiter, r request, err error, failed failedAttempts) (again bool, _ error) {
	if err == nil {
		lane.failures.reset(r)
		return false, nil
	}
	failure := fault.As(err)
	_, done := errors.AsType[*providerFailure](err)
	if failure == nil || done || errors.Is(err, errNotSent) || hasVectors(err) {
		return false, err
	}
	if r.isProbe() {
		return false, lane.recordProviderFailures(ctx, asProviderFailure(err), failed.attempts, 0)
	}
	if failure.Kind == fault.InputRejected || failure.Kind == fault.InputTooLong || failure.Kind == fault.BadResponse {
		if probed := p.checkAnswersOthers(ctx, lane, r, failed.since); probed != nil {
			return false, lane.recordProviderFailures(ctx, asProviderFailure(probed), 1, 0)
		}
		if failure.Kind == fault.BadResponse {
			return false, fault.Wrap(fault.InputRejected, failure.Err, "%s", failure.Detail)
		}
		return false, err
	}
	all, since := lane.failures.add(r, failed)
	if lane.isRequestFault(r, all, since) {
		return false, lane.requestFaultError(r, failure)
	}
	if neverReachedProvider(err) {
		return false, lane.recordProviderFailures(ctx, err, failed.attempts, 0)
	}
	if probed := p.checkAnswersOthers(ctx, lane, r, failed.since); probed != nil {
		return false, lane.recordProviderFailures(ctx, asProviderFailure(probed), failed.attempts+1, 0)
	}
	if lane.isRequestFault(r, all, since) {
		return false, lane.requestFaultError(r, failure)
	}
	if errors.Is(err, context.DeadlineExceeded) || failure.Kind == fault.InterruptedResponse || failure.RetryAfter > quickWait {
		return false, withDefaultWait(failure)
	}
	return true, nil
}

// isRequestFault reports whether a request that has failed so often since then is why:
// the model answers others, and for a single text, which would be given up, at
// least as often as it fails over a probe.
func (l *limiter) isRequestFault(r request, failures int, since answerCounts) bool {
	now := l.snapshot()
	answers, failed := now.answers-since.answers, now.probesFailed-since.probesFailed
	if len(r.texts) > 1 {
		return failures >= maxBatchFailures && answers > 0
	}
	return failures >= maxSingleFailures && answers > 0 && answers >= failed
}

// requestFaultError is the failure of a request that is why.
func (l *limiter) requestFaultError(r request, failure *fault.Error) error {
	if len(r.texts) <= 1 {
		l.failures.reset(r) // a later attempt begins anew
	}
	return fault.Wrap(fault.InputRejected, failure.Err, "%s; that came back again and again, while model %s answers other requests", failure.Detail, r.model)
}

// withDefaultWait adds how long to wait where the provider does not say.
func withDefaultWait(failure *fault.Error) error {
	if failure.Kind != fault.InterruptedResponse && failure.RetryAfter == 0 {
		return failure.WithRetryAfter(unavailableWait)
	}
	return failure
}

// hasVectors reports whether an answer of which something is wrong shows all the
// same that the model answers: it holds vectors, of which some are wrong or all
// have another length.
func hasVectors(err error) bool {
	_, some := errors.AsType[*provider.InvalidVectorsError](err)
	_, length := errors.AsType[*provider.DimensionsError](err)
	return some || length
}

// asProviderFailure returns what a failed probe says of the provider. One that does
// not take the probe takes nothing.
func asProviderFailure(probed error) error {
	e := fault.As(probed)
	switch {
	case e != nil && e.Kind == fault.BadResponse:
		return fault.Wrap(fault.Misconfigured, e.Err, "%s, and so it does for any other text: check the model, and that the address is that of an OpenAI-compatible API", e.Detail)
	case e != nil && (e.Kind == fault.InputRejected || e.Kind == fault.InputTooLong):
		return fault.Wrap(fault.Misconfigured, e.Err, "%s; and it does not take any other text either: check that the model is one for this", e.Detail)
	}
	return probed
}

// providerFailure marks a failure of which is known that it is the provider's.
type providerFailure struct{ error }

// Unwrap returns the cause, nil for none.
func (j *providerFailure) Unwrap() error { return j.error }

// Error implements error.
func (j *providerFailure) Error() string {
	if j.error == nil {
		return "the provider's failure"
	}
	return j.error.Error()
}

// answerCounts is a moment in what a lane has seen.
type answerCounts struct{ answers, probesFailed int64 }

func (l *limiter) snapshot() answerCounts {
	return answerCounts{l.answers.Load(), l.probesFailed.Load()}
}

// neverReachedProvider reports whether a request has not got as far as the provider.
func neverReachedProvider(err error) bool {
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		return true
	}
	_, dns := errors.AsType[*net.DNSError](err)
	answer, _ := errors.AsType[*errorResponse](err)
	return dns || fault.Is(err, fault.Misconfigured) && answer == nil // TLS
}

// failedAttempts counts the failed attempts of one round of a call.
type failedAttempts struct {
	since    answerCounts
	attempts int // that are the request's, or the provider's
	weight   int // of those that may be the request's
}

// add counts the failure of an attempt, if it is one of which that is not
// known. A provider that hangs, or vanishes, over a request does not do so as
// often as it answers an error; one that could not be reached has not failed
// over it.
func (f *failedAttempts) add(err error) {
	if _, known := errors.AsType[*providerFailure](err); known || fault.As(err) == nil || errors.Is(err, errNotSent) {
		return
	}
	f.attempts++
	_, answered := errors.AsType[*errorResponse](err)
	switch {
	case neverReachedProvider(err), fault.Is(err, fault.InterruptedResponse):
	case fault.Is(err, fault.Unavailable) && !answered:
		f.weight += timeoutFailures
	default:
		f.weight++
	}
}

// probe asks the model for something that it does not fail over.
func (p *OpenAI) probe(ctx context.Context, lane *limiter, r request) error {
	r.bytes = len(provider.ProbeText)
	err := p.sendOnce(ctx, opProbe, r, r.probe, &exchange{})
	if err == nil || hasVectors(err) {
		lane.recordAnswer()
		return nil
	}
	if ctx.Err() == nil {
		lane.probesFailed.Add(1)
	}
	return err
}

// isProbe reports whether the request embeds what a probe does.
func (r request) isProbe() bool {
	return r.operation == opEmbed && len(r.texts) == 1 && r.texts[0] == provider.ProbeText
}

// checkAnswersOthers returns nil when the model has answered any request since the
// mark, or answers a probe now, and else what the probe failed with. All that
// have the question at the same time share one probe.
func (p *OpenAI) checkAnswersOthers(ctx context.Context, lane *limiter, r request, since answerCounts) error {
	if lane.snapshot().answers > since.answers {
		return nil
	}
	done := lane.probing.DoChan("", func() (any, error) {
		return nil, goroutine.Try(func() error { return p.probe(context.WithoutCancel(ctx), lane, r) })
	})
	select {
	case result := <-done:
		return result.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// failureCounter counts how often requests have failed, by what they ask. Its zero
// value is ready to use.
type failureCounter struct {
	mu        sync.Mutex
	byRequest map[[sha256.Size]byte]*failureCount
}

type failureCount struct {
	count int
	since answerCounts // before it was first sent
}

// add counts further failures of a request, and returns all, and since which
// mark.
func (o *failureCounter) add(r request, failed failedAttempts) (int, answerCounts) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byRequest == nil || len(o.byRequest) >= maxCountedRequests {
		o.byRequest = map[[sha256.Size]byte]*failureCount{}
	}
	f := o.byRequest[r.hash()]
	if f == nil {
		f = &failureCount{since: failed.since}
		o.byRequest[r.hash()] = f
	}
	f.count += failed.weight
	return f.count, f.since
}

// reset forgets a request that was answered.
func (o *failureCounter) reset(r request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.byRequest) > 0 {
		delete(o.byRequest, r.hash())
	}
}

// hash names a request by what it asks.
func (r request) hash() (sum [sha256.Size]byte) {
	h := sha256.New()
	fmt.Fprintf(h, "%s %d", r.operation, len(r.texts))
	for _, text := range r.texts {
		fmt.Fprintf(h, " %d ", len(text))
		_, _ = h.Write([]byte(text))
	}
	h.Sum(sum[:0])
	return sum
}

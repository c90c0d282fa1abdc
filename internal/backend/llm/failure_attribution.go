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
	// maxBatchFailures is the number of failures after which a request of several texts counts as
	// their cause, while the model answers other requests: its texts can still be sent in smaller
	// requests. A single text cannot be split, so it may fail as often as the breaker allows.
	maxBatchFailures  = quickRetries + 1
	maxSingleFailures = breakerFailures

	maxCountedRequests = 1000 // requests whose failures are counted
)

// attributeFailure determines whether the request or the provider is the cause of a failure. Only a
// failure of the provider holds the model, so that a text on which the model fails affects no other
// text. The test is whether the model answers other requests; if none was sent meanwhile, a probe
// is sent:
//
//   - If the model does not answer them, or refuses the probe too, the provider is the cause,
//     whatever the failure is.
//   - If it answers them, a refusal or an invalid response is about the texts. Any other failure
//     that is repeated is about the texts as well, and becomes fault.InputRejected. Until then the
//     request is sent again, or its error is returned if sending it again would take long.
//
// A request that sends the text of the probe is a probe itself. A response that broke off keeps its
// kind, because it may have been paid for. The failures of a request are counted across calls.
func (p *OpenAI) attributeFailure(ctx context.Context, l *limiter, r request, err error, failed failedAttempts) (retry bool, _ error) {
	if err == nil {
		l.failures.reset(r)
		return false, nil
	}
	failure := fault.As(err)
	_, done := errors.AsType[*providerFailure](err)
	if failure == nil || done || errors.Is(err, errNotSent) || hasVectors(err) {
		return false, err
	}
	if r.isProbe() {
		return false, l.recordProviderFailures(ctx, asProviderFailure(err), failed.attempts, 0)
	}
	if failure.Kind == fault.InputRejected || failure.Kind == fault.InputTooLong || failure.Kind == fault.BadResponse {
		if probed := p.checkAnswersOthers(ctx, l, r, failed.since); probed != nil {
			return false, l.recordProviderFailures(ctx, asProviderFailure(probed), 1, 0)
		}
		if failure.Kind == fault.BadResponse {
			return false, fault.Wrap(fault.InputRejected, failure.Err, "%s", failure.Detail)
		}
		return false, err
	}
	all, since := l.failures.add(r, failed)
	if l.isRequestFault(r, all, since) {
		return false, l.requestFaultError(r, failure)
	}
	if neverReachedProvider(err) {
		return false, l.recordProviderFailures(ctx, err, failed.attempts, 0)
	}
	if probed := p.checkAnswersOthers(ctx, l, r, failed.since); probed != nil {
		return false, l.recordProviderFailures(ctx, asProviderFailure(probed), failed.attempts+1, 0)
	}
	if l.isRequestFault(r, all, since) {
		return false, l.requestFaultError(r, failure)
	}
	if errors.Is(err, context.DeadlineExceeded) || failure.Kind == fault.InterruptedResponse || failure.RetryAfter > quickWait {
		return false, withDefaultWait(failure)
	}
	return true, nil
}

// isRequestFault reports whether a request is the cause of its failures since the given counts: the
// model answers other requests. A single text, which would be given up, also needs at least as many
// answers as failed probes.
func (l *limiter) isRequestFault(r request, failures int, since answerCounts) bool {
	now := l.snapshot()
	answers, failed := now.answers-since.answers, now.probesFailed-since.probesFailed
	if len(r.texts) > 1 {
		return failures >= maxBatchFailures && answers > 0
	}
	return failures >= maxSingleFailures && answers > 0 && answers >= failed
}

// requestFaultError returns the error of a request that is the cause of its failures.
func (l *limiter) requestFaultError(r request, failure *fault.Error) error {
	if len(r.texts) <= 1 {
		l.failures.reset(r) // a later attempt starts to count again
	}
	return fault.Wrap(fault.InputRejected, failure.Err, "%s; this request failed repeatedly, while model %s answers other requests", failure.Detail, r.model)
}

// withDefaultWait adds a wait if the provider names none.
func withDefaultWait(failure *fault.Error) error {
	if failure.Kind != fault.InterruptedResponse && failure.RetryAfter == 0 {
		return failure.WithRetryAfter(unavailableWait)
	}
	return failure
}

// hasVectors reports whether an invalid response shows that the model answers: it contains vectors,
// of which some are invalid or all have other dimensions.
func hasVectors(err error) bool {
	_, invalid := errors.AsType[*provider.InvalidVectorsError](err)
	_, wrongDimensions := errors.AsType[*provider.DimensionsError](err)
	return invalid || wrongDimensions
}

// asProviderFailure returns the error of a failed probe as a failure of the provider. A model that
// refuses the probe refuses everything.
func asProviderFailure(probed error) error {
	e := fault.As(probed)
	switch {
	case e != nil && e.Kind == fault.BadResponse:
		return fault.Wrap(fault.Misconfigured, e.Err, "%s, and it does so for every text: check the model, and that the address is that of an OpenAI-compatible API", e.Detail)
	case e != nil && (e.Kind == fault.InputRejected || e.Kind == fault.InputTooLong):
		return fault.Wrap(fault.Misconfigured, e.Err, "%s; the model refuses every other text too: check that the model supports this operation", e.Detail)
	}
	return probed
}

// providerFailure marks a failure that is known to be the provider's.
type providerFailure struct{ error }

// Unwrap returns the cause, nil if there is none.
func (j *providerFailure) Unwrap() error { return j.error }

// Error implements error.
func (j *providerFailure) Error() string {
	if j.error == nil {
		return "the provider's failure"
	}
	return j.error.Error()
}

// answerCounts is a snapshot of what a limiter has counted.
type answerCounts struct{ answers, probesFailed int64 }

func (l *limiter) snapshot() answerCounts {
	return answerCounts{l.answers.Load(), l.probesFailed.Load()}
}

// neverReachedProvider reports whether a request failed before it reached the provider.
func neverReachedProvider(err error) bool {
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		return true
	}
	_, dns := errors.AsType[*net.DNSError](err)
	answer, _ := errors.AsType[*errorResponse](err)
	return dns || fault.Is(err, fault.Misconfigured) && answer == nil // a TLS error
}

// failedAttempts counts the failed attempts in one round of a call.
type failedAttempts struct {
	since    answerCounts
	attempts int // failures of the request or the provider
	weight   int // weight of those that the request may have caused
}

// add counts the failure of an attempt whose cause is not yet known. A timeout or a lost
// connection weighs more, because a provider does not hang as often as it answers with an error. If
// the provider was not reached, the request is not the cause.
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

// probe asks the model for something on which it does not fail.
func (p *OpenAI) probe(ctx context.Context, l *limiter, r request) error {
	r.bytes = len(provider.ProbeText)
	err := p.sendOnce(ctx, opProbe, r, r.probe, &exchange{})
	if err == nil || hasVectors(err) {
		l.recordAnswer()
		return nil
	}
	if ctx.Err() == nil {
		l.probesFailed.Add(1)
	}
	return err
}

// isProbe reports whether the request embeds the text of a probe.
func (r request) isProbe() bool {
	return r.operation == opEmbed && len(r.texts) == 1 && r.texts[0] == provider.ProbeText
}

// checkAnswersOthers returns nil if the model has answered any request since the given counts, or
// answers a probe now, and otherwise the error of the probe. Concurrent callers share one probe.
func (p *OpenAI) checkAnswersOthers(ctx context.Context, l *limiter, r request, since answerCounts) error {
	if l.snapshot().answers > since.answers {
		return nil
	}
	done := l.probing.DoChan("", func() (any, error) {
		return nil, goroutine.Try(func() error { return p.probe(context.WithoutCancel(ctx), l, r) })
	})
	select {
	case result := <-done:
		return result.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// failureCounter counts the failures of requests, by their content. The zero value is ready for
// use.
type failureCounter struct {
	mu        sync.Mutex
	byRequest map[[sha256.Size]byte]*failureCount
}

type failureCount struct {
	count int
	since answerCounts // before the request was first sent
}

// add counts further failures of a request. It returns the total, and the answer counts before the
// request was first sent.
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

// reset forgets the failures of a request.
func (o *failureCounter) reset(r request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.byRequest) > 0 {
		delete(o.byRequest, r.hash())
	}
}

// hash identifies a request by its content.
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

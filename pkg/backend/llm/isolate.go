package llm

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/goroutine"
)

const (
	// batchFailures is after how many failures a request of several texts is
	// taken to be the cause of them, while the model answers others: its texts
	// can still be sent in smaller requests. That of a single text cannot, so
	// it has as many as the breaker.
	batchFailures  = quickRetries + 1
	singleFailures = breakerFailures

	maxOwnFailures = 1000 // requests remembered
)

// isolate finds out whose a failure is: the request's, or the provider's. The
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
func (p *OpenAI) isolate(ctx context.Context, lane *lane, r request, err error, failed failed) (again bool, _ error) {
	if err == nil {
		lane.own.forget(r)
		return false, nil
	}
	failure := fault.As(err)
	_, done := errors.AsType[*judged](err)
	if failure == nil || done || errors.Is(err, errNotSent) || hasVectors(err) {
		return false, err
	}
	if r.isProbe() {
		return false, lane.blame(ctx, asProvider(err), failed.attempts, 0)
	}
	if failure.Kind == fault.Refused || failure.Kind == fault.TooLong || failure.Kind == fault.BadAnswer {
		if probed := p.answersOthers(ctx, lane, r, failed.before); probed != nil {
			return false, lane.blame(ctx, asProvider(probed), 1, 0)
		}
		if failure.Kind == fault.BadAnswer {
			return false, fault.Wrap(fault.Refused, failure.Err, "%s", failure.Detail)
		}
		return false, err
	}
	all, since := lane.own.add(r, failed)
	if lane.isOwn(r, all, since) {
		return false, lane.ownFault(r, failure)
	}
	if notReached(err) {
		return false, lane.blame(ctx, err, failed.attempts, 0)
	}
	if probed := p.answersOthers(ctx, lane, r, failed.before); probed != nil {
		return false, lane.blame(ctx, asProvider(probed), failed.attempts+1, 0)
	}
	if lane.isOwn(r, all, since) {
		return false, lane.ownFault(r, failure)
	}
	if errors.Is(err, context.DeadlineExceeded) || failure.Kind == fault.BrokenAnswer || failure.RetryAfter > quickWait {
		return false, orDefault(failure)
	}
	return true, nil
}

// isOwn reports whether a request that has failed so often since then is why:
// the model answers others, and for a single text, which would be given up, at
// least as often as it fails over a probe.
func (l *lane) isOwn(r request, failures int, since mark) bool {
	now := l.mark()
	answers, failed := now.answers-since.answers, now.probesFailed-since.probesFailed
	if len(r.texts) > 1 {
		return failures >= batchFailures && answers > 0
	}
	return failures >= singleFailures && answers > 0 && answers >= failed
}

// ownFault is the failure of a request that is why.
func (l *lane) ownFault(r request, failure *fault.Error) error {
	if len(r.texts) <= 1 {
		l.own.forget(r) // a later attempt begins anew
	}
	return fault.Wrap(fault.Refused, failure.Err, "%s; that came back again and again, while model %s answers other requests", failure.Detail, r.model)
}

// orDefault adds how long to wait where the provider does not say.
func orDefault(failure *fault.Error) error {
	if failure.Kind != fault.BrokenAnswer && failure.RetryAfter == 0 {
		return failure.After(unavailableWait)
	}
	return failure
}

// hasVectors reports whether an answer of which something is wrong shows all the
// same that the model answers: it holds vectors, of which some are wrong or all
// have another length.
func hasVectors(err error) bool {
	_, some := errors.AsType[*document.VectorsError](err)
	_, length := errors.AsType[*document.LengthError](err)
	return some || length
}

// asProvider returns what a failed probe says of the provider. One that does
// not take the probe takes nothing.
func asProvider(probed error) error {
	e := fault.As(probed)
	switch {
	case e != nil && e.Kind == fault.BadAnswer:
		return fault.Wrap(fault.Misconfigured, e.Err, "%s, and so it does for any other text: check the model, and that the address is that of an OpenAI-compatible API", e.Detail)
	case e != nil && (e.Kind == fault.Refused || e.Kind == fault.TooLong):
		return fault.Wrap(fault.Misconfigured, e.Err, "%s; and it does not take any other text either: check that the model is one for this", e.Detail)
	}
	return probed
}

// judged marks a failure of which is known that it is the provider's.
type judged struct{ error }

// Unwrap returns the cause, nil for none.
func (j *judged) Unwrap() error { return j.error }

// Error implements error.
func (j *judged) Error() string {
	if j.error == nil {
		return "the provider's failure"
	}
	return j.error.Error()
}

// mark is a moment in what a lane has seen.
type mark struct{ answers, probesFailed int64 }

func (l *lane) mark() mark { return mark{l.answers.Load(), l.probesFailed.Load()} }

// notReached reports whether a request has not got as far as the provider.
func notReached(err error) bool {
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "dial" {
		return true
	}
	_, dns := errors.AsType[*net.DNSError](err)
	answer, _ := errors.AsType[*problem](err)
	return dns || fault.Is(err, fault.Misconfigured) && answer == nil // TLS
}

// failed counts the failed attempts of one round of a call.
type failed struct {
	before   mark
	attempts int // that are the request's, or the provider's
	weight   int // of those that may be the request's
}

// count counts the failure of an attempt, if it is one of which that is not
// known. A provider that hangs, or vanishes, over a request does not do so as
// often as it answers an error; one that could not be reached has not failed
// over it.
func (f *failed) count(err error) {
	if _, known := errors.AsType[*judged](err); known || fault.As(err) == nil || errors.Is(err, errNotSent) {
		return
	}
	f.attempts++
	_, answered := errors.AsType[*problem](err)
	switch {
	case notReached(err), fault.Is(err, fault.BrokenAnswer):
	case fault.Is(err, fault.Unavailable) && !answered:
		f.weight += timeoutFailures
	default:
		f.weight++
	}
}

// probe asks the model for something that it does not fail over.
func (p *OpenAI) probe(ctx context.Context, lane *lane, r request) error {
	r.bytes = len(document.ProbeText)
	err := p.exchange(ctx, opProbe, r, r.probe, &exchange{})
	if err == nil || hasVectors(err) {
		lane.answered()
		return nil
	}
	if ctx.Err() == nil {
		lane.probesFailed.Add(1)
	}
	return err
}

// isProbe reports whether the request embeds what a probe does.
func (r request) isProbe() bool {
	return r.operation == opEmbed && len(r.texts) == 1 && r.texts[0] == document.ProbeText
}

// answersOthers returns nil when the model has answered any request since the
// mark, or answers a probe now, and else what the probe failed with. All that
// have the question at the same time share one probe.
func (p *OpenAI) answersOthers(ctx context.Context, lane *lane, r request, since mark) error {
	if lane.mark().answers > since.answers {
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

// ownFailures counts how often requests have failed, by what they ask. Its zero
// value is ready to use.
type ownFailures struct {
	mu sync.Mutex
	of map[[sha256.Size]byte]*ownFailure
}

type ownFailure struct {
	count int
	since mark // before it was first sent
}

// add counts further failures of a request, and returns all, and since which
// mark.
func (o *ownFailures) add(r request, failed failed) (int, mark) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.of == nil || len(o.of) >= maxOwnFailures {
		o.of = map[[sha256.Size]byte]*ownFailure{}
	}
	f := o.of[r.hash()]
	if f == nil {
		f = &ownFailure{since: failed.before}
		o.of[r.hash()] = f
	}
	f.count += failed.weight
	return f.count, f.since
}

// forget forgets a request that was answered.
func (o *ownFailures) forget(r request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.of) > 0 {
		delete(o.of, r.hash())
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

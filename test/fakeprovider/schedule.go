package fakeprovider

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// schedule says which requests meet a fault. Of several that apply the first
// of these wins.
type schedule struct {
	next   Fault
	left   int // requests still to meet next; negative for all
	during Fault
	until  time.Time // requests before it meet during
	some   Fault
	share  float64    // of the requests that meet some
	random *rand.Rand // decides which
	each   Fault
	every  int // each meets every so many-th; 0 for none
	seen   int // requests counted for every
}

// take returns the fault of the next request, or nil.
func (s *schedule) take() Fault {
	s.seen++
	switch {
	case s.left != 0:
		if s.left > 0 {
			s.left--
		}
		return s.next
	case time.Now().Before(s.until):
		return s.during
	case s.share > 0 && s.random.Float64() < s.share:
		return s.some
	case s.every > 0 && s.seen%s.every == 0:
		return s.each
	default:
		return nil
	}
}

// Fail has the next n requests for embeddings meet the fault; all from now on
// when n is negative, none when it is 0.
func (p *Provider) Fail(fault Fault, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.embed.next, p.embed.left = fault, n
}

// FailModel does what Fail does for requests for embeddings by one model.
func (p *Provider) FailModel(model string, fault Fault, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.models[model] = &schedule{next: fault, left: n}
}

// faultOf returns the fault of the next request for embeddings by the model, or
// nil.
func (p *Provider) faultOf(model string) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.models[model]; s != nil {
		return s.take()
	}
	return nil
}

// FailFor has all requests for embeddings within d from now meet the fault.
func (p *Provider) FailFor(fault Fault, d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.embed.during, p.embed.until = fault, time.Now().Add(d)
}

// FailShare has a share of the requests for embeddings from now on meet the
// fault, 0.3 for three in ten; none when it is 0. Equal seeds choose equally.
func (p *Provider) FailShare(fault Fault, share float64, seed uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.embed.some, p.embed.share, p.embed.random = fault, share, rand.New(rand.NewPCG(seed, 0))
}

// FailEvery has every nth request for embeddings from now on meet the fault;
// none when n is 0.
func (p *Provider) FailEvery(fault Fault, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.embed.each, p.embed.every, p.embed.seen = fault, n, 0
}

// FailChat does for chat completions what Fail does for embeddings.
func (p *Provider) FailChat(fault Fault, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.chat.next, p.chat.left = fault, n
}

// FailTexts has all requests for embeddings with a text that holds part meet
// the fault; none when it is nil.
func (p *Provider) FailTexts(part string, fault Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.part, p.refused = part, fault
}

// faultOfTexts returns the fault of a request with these texts, or nil.
func (p *Provider) faultOfTexts(texts []string) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refused != nil && slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, p.part) }) {
		return p.refused
	}
	return nil
}

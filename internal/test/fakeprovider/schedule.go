package fakeprovider

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// faultSchedule says which requests meet a fault. Of several that apply the first
// of these wins.
type faultSchedule struct {
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

// nextFault returns the fault of the next request, or nil.
func (s *faultSchedule) nextFault() Fault {
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

// FailNext has the next n requests for embeddings meet the fault; all from now on
// when n is negative, none when it is 0.
func (p *Provider) FailNext(fault Fault, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.embeddingFaults.next, p.embeddingFaults.left = fault, n
}

// FailModel does what Fail does for requests for embeddings by one model.
func (p *Provider) FailModel(model string, fault Fault, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.modelFaults[model] = &faultSchedule{next: fault, left: n}
}

// modelFault returns the fault of the next request for embeddings by the model, or
// nil.
func (p *Provider) modelFault(model string) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.modelFaults[model]; s != nil {
		return s.nextFault()
	}
	return nil
}

// FailFor has all requests for embeddings within d from now meet the fault.
func (p *Provider) FailFor(fault Fault, d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.embeddingFaults.during, p.embeddingFaults.until = fault, time.Now().Add(d)
}

// FailShare has a share of the requests for embeddings from now on meet the
// fault, 0.3 for three in ten; none when it is 0. Equal seeds choose equally.
func (p *Provider) FailShare(fault Fault, share float64, seed uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.embeddingFaults.some, p.embeddingFaults.share, p.embeddingFaults.random = fault, share, rand.New(rand.NewPCG(seed, 0))
}

// FailEvery has every nth request for embeddings from now on meet the fault;
// none when n is 0.
func (p *Provider) FailEvery(fault Fault, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.embeddingFaults.each, p.embeddingFaults.every, p.embeddingFaults.seen = fault, n, 0
}

// FailNextChat does for chat completions what Fail does for embeddings.
func (p *Provider) FailNextChat(fault Fault, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.chatFaults.next, p.chatFaults.left = fault, n
}

// FailTexts has all requests for embeddings with a text that holds part meet
// the fault; none when it is nil.
func (p *Provider) FailTexts(part string, fault Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faultySubstring, p.substringFault = part, fault
}

// textFault returns the fault of a request with these texts, or nil.
func (p *Provider) textFault(texts []string) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.substringFault != nil && slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, p.faultySubstring) }) {
		return p.substringFault
	}
	return nil
}

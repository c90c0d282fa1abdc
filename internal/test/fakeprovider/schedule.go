package fakeprovider

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// faultSchedule decides which requests get a fault. If several faults apply, the first in this
// order wins.
type faultSchedule struct {
	next   Fault
	left   int // number of requests that still get next; negative for all
	during Fault
	until  time.Time // requests before this time get during
	some   Fault
	share  float64    // share of the requests that get some
	random *rand.Rand // chooses those requests
	each   Fault
	every  int // every nth request gets each; 0 for none
	seen   int // number of requests counted for every
}

// nextFault counts the next request and returns its fault, or nil.
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

// FailNext gives the fault to the next n embedding requests; to all following ones if n is
// negative, to none if n is 0.
func (p *Provider) FailNext(fault Fault, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.embeddingFaults.next, p.embeddingFaults.left = fault, n
}

// FailModel does what FailNext does, for the embedding requests of one model.
func (p *Provider) FailModel(model string, fault Fault, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.modelFaults[model] = &faultSchedule{next: fault, left: n}
}

// modelFault counts the next embedding request of the model and returns its fault, or nil.
func (p *Provider) modelFault(model string) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.modelFaults[model]; s != nil {
		return s.nextFault()
	}
	return nil
}

// FailFor gives the fault to all embedding requests during the next d.
func (p *Provider) FailFor(fault Fault, d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.embeddingFaults.during, p.embeddingFaults.until = fault, time.Now().Add(d)
}

// FailShare gives the fault to a share of the following embedding requests: 0.3 for three in ten, 0
// for none. Equal seeds choose the same requests.
func (p *Provider) FailShare(fault Fault, share float64, seed uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.embeddingFaults.some, p.embeddingFaults.share, p.embeddingFaults.random = fault, share, rand.New(rand.NewPCG(seed, 0))
}

// FailEvery gives the fault to every nth of the following embedding requests; to none if n is 0.
func (p *Provider) FailEvery(fault Fault, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.embeddingFaults.each, p.embeddingFaults.every, p.embeddingFaults.seen = fault, n, 0
}

// FailNextChat does for chat requests what FailNext does for embedding requests.
func (p *Provider) FailNextChat(fault Fault, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.chatFaults.next, p.chatFaults.left = fault, n
}

// FailTexts gives the fault to all embedding requests with a text that contains part; to none if
// fault is nil.
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

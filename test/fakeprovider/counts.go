package fakeprovider

import (
	"maps"
	"slices"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Counts are what a provider has been asked for since it was started.
type Counts struct {
	Requests      int // for embeddings, refused ones included
	Taken         int // texts in those that were worked at, whoever was there to be answered
	Texts         int // in those that were answered well
	Tokens        int // of those texts
	Charged       int // tokens of all texts answered 200, rightly or wrongly
	Refused       int // requests answered with another status
	MaxTexts      int // in one request
	ChatRequests  int // refused ones included
	ChatSummaries int // in those that were answered well
	ChatIn        int // tokens of the questions answered well
	ChatOut       int // tokens of these answers
}

// Counts returns the counts so far.
func (p *Provider) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts
}

// Embedded returns how often each text has been embedded in an answer that was
// sent without a fault. It is empty unless Options.RecordTexts is set.
func (p *Provider) Embedded() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make(map[string]int)
	for _, texts := range p.embedded {
		for text, times := range texts {
			all[text] += times
		}
	}
	return all
}

// EmbeddedBy is Embedded by model and length of its vectors.
func (p *Provider) EmbeddedBy() map[document.Model]map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	by := make(map[document.Model]map[string]int, len(p.embedded))
	for model, texts := range p.embedded {
		by[model] = maps.Clone(texts)
	}
	return by
}

// InFlight returns how many requests the provider is at. Those whose client has
// gone are not among them.
func (p *Provider) InFlight() int { return int(p.inFlight.Load()) }

// Forget sets all counts back to zero.
func (p *Provider) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts = Counts{}
	clear(p.embedded)
}

func (p *Provider) countRefused() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.Refused++
}

// take notes texts that are about to be worked at.
func (p *Provider) take(texts int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.Taken += texts
}

// count notes texts that are about to be answered.
func (p *Provider) count(model document.Model, texts []string, tokens int, answer Answer, fault Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if answer.ok() && !answer.Hang {
		p.counts.Charged += tokens
	}
	if fault != nil && !answer.Right {
		return
	}
	for _, i := range answer.Spoilt {
		tokens -= tokensOf(texts[i])
	}
	p.counts.Texts += len(texts) - len(answer.Spoilt)
	p.counts.Tokens += tokens
	p.counts.MaxTexts = max(p.counts.MaxTexts, len(texts))
	if p.opts.RecordTexts {
		if p.embedded[model] == nil {
			p.embedded[model] = make(map[string]int)
		}
		for i, text := range texts {
			if !slices.Contains(answer.Spoilt, i) {
				p.embedded[model][text]++
			}
		}
	}
}

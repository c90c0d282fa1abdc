package fakeprovider

import (
	"maps"
	"slices"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Counts are what a provider has been asked for since it was started.
type Counts struct {
	EmbeddingRequests  int // for embeddings, refused ones included
	TextsProcessed     int // texts in those that were worked at, whoever was there to be answered
	TextsAnswered      int // in those that were answered well
	TokensAnswered     int // of those texts
	TokensCharged      int // tokens of all texts answered 200, rightly or wrongly
	RequestsRefused    int // requests answered with another status
	MaxTextsPerRequest int // in one request
	ChatRequests       int // refused ones included
	ChatSummaries      int // in those that were answered well
	ChatInputTokens    int // tokens of the questions answered well
	ChatOutputTokens   int // tokens of these answers
}

// Counts returns the counts so far.
func (p *Provider) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts
}

// EmbeddedTexts returns how often each text has been embedded in an answer that was
// sent without a fault. It is empty unless Options.RecordTexts is set.
func (p *Provider) EmbeddedTexts() map[string]int {
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

// EmbeddedTextsByModel is Embedded by model and length of its vectors.
func (p *Provider) EmbeddedTextsByModel() map[document.Model]map[string]int {
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

// ResetCounts sets all counts back to zero.
func (p *Provider) ResetCounts() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts = Counts{}
	clear(p.embedded)
}

func (p *Provider) countRefused() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.RequestsRefused++
}

// countProcessed notes texts that are about to be worked at.
func (p *Provider) countProcessed(texts int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.TextsProcessed += texts
}

// countAnswered notes texts that are about to be answered.
func (p *Provider) countAnswered(model document.Model, texts []string, tokens int, answer Answer, fault Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if answer.ok() && !answer.Hang {
		p.counts.TokensCharged += tokens
	}
	if fault != nil && !answer.Correct {
		return
	}
	for _, i := range answer.InvalidVectors {
		tokens -= tokensOf(texts[i])
	}
	p.counts.TextsAnswered += len(texts) - len(answer.InvalidVectors)
	p.counts.TokensAnswered += tokens
	p.counts.MaxTextsPerRequest = max(p.counts.MaxTextsPerRequest, len(texts))
	if p.opts.RecordTexts {
		if p.embedded[model] == nil {
			p.embedded[model] = make(map[string]int)
		}
		for i, text := range texts {
			if !slices.Contains(answer.InvalidVectors, i) {
				p.embedded[model][text]++
			}
		}
	}
}

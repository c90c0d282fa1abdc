package fakeprovider

import (
	"maps"
	"slices"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Counts are the requests to a provider, and its answers, since its start or the last ResetCounts.
type Counts struct {
	EmbeddingRequests  int // requests for embeddings, including refused ones
	TextsProcessed     int // texts processed, also if the client did not wait for the answer
	TextsAnswered      int // texts answered correctly
	TokensAnswered     int // tokens of those texts
	TokensCharged      int // tokens of all texts answered 200, correctly or not
	RequestsRefused    int // requests answered with another status
	MaxTextsPerRequest int // largest number of texts in one request
	ChatRequests       int // requests for chat completions, including refused ones
	ChatSummaries      int // summaries in correct answers
	ChatInputTokens    int // tokens of the questions answered correctly
	ChatOutputTokens   int // tokens of those answers
}

// Counts returns the counts so far.
func (p *Provider) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts
}

// EmbeddedTexts returns the number of times that each text was embedded in a correct answer. It is
// empty unless Options.RecordTexts is set.
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

// EmbeddedTextsByModel is EmbeddedTexts by model and dimensions.
func (p *Provider) EmbeddedTextsByModel() map[document.Model]map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	by := make(map[document.Model]map[string]int, len(p.embedded))
	for model, texts := range p.embedded {
		by[model] = maps.Clone(texts)
	}
	return by
}

// InFlight returns the number of requests being processed. Requests of disconnected clients do not
// count.
func (p *Provider) InFlight() int { return int(p.inFlight.Load()) }

// ResetCounts sets all counts to zero.
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

// countProcessed counts texts before they are processed.
func (p *Provider) countProcessed(texts int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.TextsProcessed += texts
}

// countAnswered counts texts before they are answered.
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

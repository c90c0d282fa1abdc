package summary

import (
	"sync"
	"time"
)

const (
	// limitTTL is how long a learned limit is valid. After that, the model is tried without it.
	limitTTL = time.Hour

	// maxBadAnswers is the number of responses in a row without a summary after which the model
	// gets one section at a time.
	maxBadAnswers = 3
)

// requestLimit is the maximum size of one request.
type requestLimit struct{ tokens, sections int }

// learnedLimits are limits of the model that its responses have shown. The zero value has none. It
// is safe for concurrent use.
type learnedLimits struct {
	mu         sync.Mutex
	halvings   int // how often the limit was halved
	badAnswers int // number of responses in a row without a summary
	expiresAt  time.Time
}

// apply returns the limit that is left of the configured one.
func (l *learnedLimits) apply(configured requestLimit) requestLimit {
	l.mu.Lock()
	defer l.mu.Unlock()
	if (l.halvings > 0 || l.badAnswers >= maxBadAnswers) && time.Now().After(l.expiresAt) {
		l.halvings, l.badAnswers = 0, 0
	}
	if l.badAnswers >= maxBadAnswers {
		return requestLimit{configured.tokens, 1}
	}
	return requestLimit{configured.tokens >> l.halvings, max(1, configured.sections>>l.halvings)}
}

// noteTooLong notes that a request that was made for the limit used was too long for the model. It
// halves the limit, unless that has been done since the request was made.
func (l *learnedLimits) noteTooLong(configured, used requestLimit) {
	now := l.apply(configured)
	l.mu.Lock()
	defer l.mu.Unlock()
	if now == used && now.sections > 1 {
		l.halvings++
		l.expiresAt = time.Now().Add(limitTTL)
	}
}

// noteBadAnswer notes a response without any summary.
func (l *learnedLimits) noteBadAnswer() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.badAnswers++
	l.expiresAt = time.Now().Add(limitTTL)
}

// noteGoodAnswer notes a response with summaries.
func (l *learnedLimits) noteGoodAnswer() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.badAnswers = 0
}

// configuredLimit returns the limit without what was learned.
func (s *Step) configuredLimit() requestLimit {
	if s.BatchTokens <= 0 {
		return requestLimit{maxLeafTokens, 1}
	}
	return requestLimit{s.BatchTokens, maxBatchSections}
}

// currentLimit returns the limit of the next request.
func (s *Step) currentLimit() requestLimit { return s.limits.apply(s.configuredLimit()) }

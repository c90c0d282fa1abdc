package summary

import (
	"sync"
	"time"
)

const (
	// limitTTL is how long a limit is taken for granted. Then it is met again,
	// or found to be raised.
	limitTTL = time.Hour

	// maxBadAnswers is after how many answers in a row that hold no summary the
	// model is asked for one section at a time.
	maxBadAnswers = 3
)

// requestLimit is what one request may hold.
type requestLimit struct{ tokens, sections int }

// learnedLimits are what the model was found to answer at once. The zero value knows
// none.
type learnedLimits struct {
	mu         sync.Mutex
	halvings   int // how often the room was
	badAnswers int // answers in a row that held no summary
	expiresAt  time.Time
}

// apply returns what is left of a room.
func (l *learnedLimits) apply(whole requestLimit) requestLimit {
	l.mu.Lock()
	defer l.mu.Unlock()
	if (l.halvings > 0 || l.badAnswers >= maxBadAnswers) && time.Now().After(l.expiresAt) {
		l.halvings, l.badAnswers = 0, 0
	}
	if l.badAnswers >= maxBadAnswers {
		return requestLimit{whole.tokens, 1}
	}
	return requestLimit{whole.tokens >> l.halvings, max(1, whole.sections>>l.halvings)}
}

// noteTooLong notes that the model does not take a request that was made for the
// room. Requests that were made for a larger one by then tell nothing new.
func (l *learnedLimits) noteTooLong(whole, used requestLimit) {
	now := l.apply(whole)
	l.mu.Lock()
	defer l.mu.Unlock()
	if now == used && now.sections > 1 {
		l.halvings++
		l.expiresAt = time.Now().Add(limitTTL)
	}
}

// noteBadAnswer notes an answer without any summary.
func (l *learnedLimits) noteBadAnswer() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.badAnswers++
	l.expiresAt = time.Now().Add(limitTTL)
}

// noteGoodAnswer notes an answer with summaries.
func (l *learnedLimits) noteGoodAnswer() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.badAnswers = 0
}

// configuredLimit returns what one request may hold where no limit is known.
func (s *Step) configuredLimit() requestLimit {
	if s.BatchTokens <= 0 {
		return requestLimit{maxLeafTokens, 1}
	}
	return requestLimit{s.BatchTokens, maxBatchSections}
}

// currentLimit returns what one request may hold, as far as is known.
func (s *Step) currentLimit() requestLimit { return s.limits.apply(s.configuredLimit()) }

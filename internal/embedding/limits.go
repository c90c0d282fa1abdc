package embedding

import (
	"sync"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	// limitsTTL is how long a limit is taken for granted. Then it is met
	// again, or found to be raised.
	limitsTTL = time.Hour

	// maxModels bounds the models whose limits are remembered.
	maxModels = 100
)

// modelLimits are what models were found to take. The zero value knows none.
type modelLimits struct {
	mu      sync.Mutex
	byModel map[document.Model]*modelLimit
}

// modelLimit is what one model takes, in texts and in tokens as load counts them.
// Zero fields are unknown.
type modelLimit struct {
	maxTexts        int // of a request
	maxTokens       int // of a request
	truncatedTokens int // tokens of a text that was taken when it had been cut
	tooLongTokens   int // tokens of the shortest text that was too long, and none that long was taken since

	maxAccepted requestSize // the most of each that a request was taken with
	until       time.Time
}

// requestSize is how much is sent.
type requestSize struct{ texts, tokens int }

// get returns what is known of a model.
func (l *modelLimits) get(model document.Model) modelLimit {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known := l.byModel[model]; known != nil && time.Now().Before(known.until) {
		return *known
	}
	return modelLimit{}
}

// update changes what is known of a model.
func (l *modelLimits) update(model document.Model, change func(*modelLimit)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.byModel == nil || len(l.byModel) >= maxModels && l.byModel[model] == nil {
		l.byModel = map[document.Model]*modelLimit{}
	}
	if known := l.byModel[model]; known == nil || !now.Before(known.until) {
		l.byModel[model] = &modelLimit{until: now.Add(limitsTTL)}
	}
	change(l.byModel[model])
}

// recordAccepted notes that the model took a request.
func (l *modelLimits) recordAccepted(model document.Model, sent requestSize) {
	l.update(model, func(known *modelLimit) {
		known.maxAccepted.texts = max(known.maxAccepted.texts, sent.texts)
		known.maxAccepted.tokens = max(known.maxAccepted.tokens, sent.tokens)
		if sent.texts == 1 && known.tooLongTokens > 0 && sent.tokens >= known.tooLongTokens {
			known.tooLongTokens = sent.tokens + 1 // another language, say, has fewer tokens than we count
		}
	})
}

// recordSplit notes that the model refused a request and took all of it in two
// halves, the larger of which was half. It is the number of texts that is
// limited, unless as many were taken before or the model speaks of the length.
func (l *modelLimits) recordSplit(model document.Model, whole, half requestSize, tooLong bool) {
	l.update(model, func(known *modelLimit) {
		if !tooLong && whole.texts > known.maxAccepted.texts {
			known.maxTexts = minLimit(known.maxTexts, half.texts)
		} else {
			known.maxTokens = minLimit(known.maxTokens, half.tokens)
		}
	})
}

// recordTruncated notes that a text was too long, and taken when it had been cut.
func (l *modelLimits) recordTruncated(model document.Model, whole, cut int) {
	l.update(model, func(known *modelLimit) {
		known.tooLongTokens = minLimit(known.tooLongTokens, whole)
		known.truncatedTokens = max(known.truncatedTokens, cut)
	})
}

// minLimit returns the lower one of two limits, of which the first may be unknown.
func minLimit(known, found int) int {
	if known == 0 {
		return found
	}
	return min(known, found)
}

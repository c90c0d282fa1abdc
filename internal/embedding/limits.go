package embedding

import (
	"sync"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	// limitsTTL is how long a learned limit is used. After that, requests ignore it: it is learned
	// again, or it has been raised.
	limitsTTL = time.Hour

	// maxModels bounds the number of models whose limits are remembered.
	maxModels = 100
)

// modelLimits holds what models were found to accept. The zero value knows no limit.
type modelLimits struct {
	mu      sync.Mutex
	byModel map[document.Model]*modelLimit
}

// modelLimit is what one model accepts, in texts and in tokens as Texts.tokensOf estimates them.
// Zero fields are unknown.
type modelLimit struct {
	maxTexts        int // in one request
	maxTokens       int // in one request
	truncatedTokens int // most tokens that were accepted of a truncated text
	tooLongTokens   int // tokens of the shortest text that was too long; raised when a longer one is accepted

	maxAccepted requestSize // largest accepted request, by each measure
	until       time.Time
}

// requestSize is the size of a provider request.
type requestSize struct{ texts, tokens int }

// get returns the known limits of a model.
func (l *modelLimits) get(model document.Model) modelLimit {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known := l.byModel[model]; known != nil && time.Now().Before(known.until) {
		return *known
	}
	return modelLimit{}
}

// update changes the known limits of a model.
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

// recordAccepted records that the model accepted a request.
func (l *modelLimits) recordAccepted(model document.Model, sent requestSize) {
	l.update(model, func(known *modelLimit) {
		known.maxAccepted.texts = max(known.maxAccepted.texts, sent.texts)
		known.maxAccepted.tokens = max(known.maxAccepted.tokens, sent.tokens)
		if sent.texts == 1 && known.tooLongTokens > 0 && sent.tokens >= known.tooLongTokens {
			known.tooLongTokens = sent.tokens + 1 // our estimate is too high for some languages, for example
		}
	})
}

// recordSplit records that the model refused a request and accepted all of it in two halves; half
// is the size of the larger one. The limit is on the number of texts, unless the model accepted as
// many texts before or its error is about length.
func (l *modelLimits) recordSplit(model document.Model, refused, half requestSize, tooLong bool) {
	l.update(model, func(known *modelLimit) {
		if !tooLong && refused.texts > known.maxAccepted.texts {
			known.maxTexts = minLimit(known.maxTexts, half.texts)
		} else {
			known.maxTokens = minLimit(known.maxTokens, half.tokens)
		}
	})
}

// recordTruncated records that the model refused a text of the given tokens as too long, and
// accepted it when it was truncated to accepted tokens.
func (l *modelLimits) recordTruncated(model document.Model, tokens, accepted int) {
	l.update(model, func(known *modelLimit) {
		known.tooLongTokens = minLimit(known.tooLongTokens, tokens)
		known.truncatedTokens = max(known.truncatedTokens, accepted)
	})
}

// minLimit returns the lower of two limits; known may be 0, which means unknown.
func minLimit(known, found int) int {
	if known == 0 {
		return found
	}
	return min(known, found)
}

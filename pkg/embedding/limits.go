package embedding

import (
	"sync"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	// keepLimits is how long a limit is taken for granted. Then it is met
	// again, or found to be raised.
	keepLimits = time.Hour

	// maxModels bounds the models whose limits are remembered.
	maxModels = 100
)

// limits are what models were found to take. The zero value knows none.
type limits struct {
	mu sync.Mutex
	of map[document.Model]*limit
}

// limit is what one model takes, in texts and in tokens as load counts them.
// Zero fields are unknown.
type limit struct {
	texts  int // of a request
	tokens int // of a request
	fit    int // tokens of a text that was taken when it had been cut
	long   int // tokens of the shortest text that was too long, and none that long was taken since

	taken load // the most of each that a request was taken with
	until time.Time
}

// load is how much is sent.
type load struct{ texts, tokens int }

// get returns what is known of a model.
func (l *limits) get(model document.Model) limit {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known := l.of[model]; known != nil && time.Now().Before(known.until) {
		return *known
	}
	return limit{}
}

// change changes what is known of a model.
func (l *limits) change(model document.Model, change func(*limit)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.of == nil || len(l.of) >= maxModels && l.of[model] == nil {
		l.of = map[document.Model]*limit{}
	}
	if known := l.of[model]; known == nil || !now.Before(known.until) {
		l.of[model] = &limit{until: now.Add(keepLimits)}
	}
	change(l.of[model])
}

// took notes that the model took a request.
func (l *limits) took(model document.Model, sent load) {
	l.change(model, func(known *limit) {
		known.taken.texts = max(known.taken.texts, sent.texts)
		known.taken.tokens = max(known.taken.tokens, sent.tokens)
		if sent.texts == 1 && known.long > 0 && sent.tokens >= known.long {
			known.long = sent.tokens + 1 // another language, say, has fewer tokens than we count
		}
	})
}

// halved notes that the model refused a request and took all of it in two
// halves, the larger of which was half. It is the number of texts that is
// limited, unless as many were taken before or the model speaks of the length.
func (l *limits) halved(model document.Model, whole, half load, tooLong bool) {
	l.change(model, func(known *limit) {
		if !tooLong && whole.texts > known.taken.texts {
			known.texts = lower(known.texts, half.texts)
		} else {
			known.tokens = lower(known.tokens, half.tokens)
		}
	})
}

// shortened notes that a text was too long, and taken when it had been cut.
func (l *limits) shortened(model document.Model, whole, cut int) {
	l.change(model, func(known *limit) {
		known.long = lower(known.long, whole)
		known.fit = max(known.fit, cut)
	})
}

// lower returns the lower one of two limits, of which the first may be unknown.
func lower(known, found int) int {
	if known == 0 {
		return found
	}
	return min(known, found)
}

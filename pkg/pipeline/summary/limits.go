package summary

import (
	"sync"
	"time"
)

const (
	// keepLimits is how long a limit is taken for granted. Then it is met again,
	// or found to be raised.
	keepLimits = time.Hour

	// maxUnusable is after how many answers in a row that hold no summary the
	// model is asked for one section at a time.
	maxUnusable = 3
)

// room is what one request may hold.
type room struct{ tokens, sections int }

// limits are what the model was found to answer at once. The zero value knows
// none.
type limits struct {
	mu     sync.Mutex
	halved int // how often the room was
	bad    int // answers in a row that held no summary
	until  time.Time
}

// of returns what is left of a room.
func (l *limits) of(whole room) room {
	l.mu.Lock()
	defer l.mu.Unlock()
	if (l.halved > 0 || l.bad >= maxUnusable) && time.Now().After(l.until) {
		l.halved, l.bad = 0, 0
	}
	if l.bad >= maxUnusable {
		return room{whole.tokens, 1}
	}
	return room{whole.tokens >> l.halved, max(1, whole.sections>>l.halved)}
}

// tooLong notes that the model does not take a request that was made for the
// room. Requests that were made for a larger one by then tell nothing new.
func (l *limits) tooLong(whole, used room) {
	now := l.of(whole)
	l.mu.Lock()
	defer l.mu.Unlock()
	if now == used && now.sections > 1 {
		l.halved++
		l.until = time.Now().Add(keepLimits)
	}
}

// unusable notes an answer without any summary.
func (l *limits) unusable() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bad++
	l.until = time.Now().Add(keepLimits)
}

// usable notes an answer with summaries.
func (l *limits) usable() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bad = 0
}

// whole returns what one request may hold where no limit is known.
func (s *Step) whole() room {
	if s.BatchTokens <= 0 {
		return room{leafTokens, 1}
	}
	return room{s.BatchTokens, batchSections}
}

// room returns what one request may hold, as far as is known.
func (s *Step) room() room { return s.limits.of(s.whole()) }

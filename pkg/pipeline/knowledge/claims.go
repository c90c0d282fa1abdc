package knowledge

import (
	"sync"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// claim names a vector that is being looked up or bought.
type claim struct {
	tenant string
	model  document.Model
	hash   document.Hash
}

// claims keep two batches of this process from buying the same vector at the
// same time. The zero value is ready to use.
type claims struct {
	mu   sync.Mutex
	held map[claim]chan struct{}
}

// take claims those of the wanted vectors that nobody holds. For the others it
// returns channels that are closed when their holders are done with them,
// whether they succeeded or not. Whoever holds a claim must release it before
// waiting for one, or two batches could wait for each other.
func (c *claims) take(wanted []claim) (mine []claim, theirs []<-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		c.held = make(map[claim]chan struct{})
	}
	for _, want := range wanted {
		if holder, ok := c.held[want]; ok {
			theirs = append(theirs, holder)
			continue
		}
		c.held[want] = make(chan struct{})
		mine = append(mine, want)
	}
	return mine, theirs
}

// release gives claims back and wakes whoever waits for them.
func (c *claims) release(mine []claim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, claim := range mine {
		close(c.held[claim])
		delete(c.held, claim)
	}
}

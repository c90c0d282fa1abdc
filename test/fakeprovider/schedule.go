package fakeprovider

// schedule says which requests meet a fault.
type schedule struct {
	next  Fault
	left  int // requests still to meet next; negative for all
	each  Fault
	every int // each meets every so many-th; 0 for none
	seen  int // requests counted for every
}

// take returns the fault of the next request, or nil.
func (s *schedule) take() Fault {
	s.seen++
	switch {
	case s.left != 0:
		if s.left > 0 {
			s.left--
		}
		return s.next
	case s.every > 0 && s.seen%s.every == 0:
		return s.each
	default:
		return nil
	}
}

// Fail has the next n requests for embeddings meet the fault; all from now on
// when n is negative, none when it is 0.
func (p *Provider) Fail(fault Fault, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.embed.next, p.embed.left = fault, n
}

// FailEvery has every nth request for embeddings from now on meet the fault;
// none when n is 0.
func (p *Provider) FailEvery(fault Fault, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.embed.each, p.embed.every, p.embed.seen = fault, n, 0
}

// FailChat does for chat completions what Fail does for embeddings.
func (p *Provider) FailChat(fault Fault, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.chat.next, p.chat.left = fault, n
}

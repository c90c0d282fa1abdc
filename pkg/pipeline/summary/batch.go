package summary

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/goroutine"
)

const (
	// batchSections bounds the sections of one request: their summaries fit into
	// the 4,096 tokens that every model can answer.
	batchSections = 32

	// windowSections bounds what is looked up at once.
	windowSections = 256
)

// summaries has the nodes of a document summarised, those that are not kept
// already, as many together as one request takes. Nodes come after their parts.
type summaries struct {
	step     *Step
	work     document.Work
	group    *goroutine.Group
	stop     <-chan struct{} // closed at the first failure: nothing new is begun
	slots    chan struct{}   // one for each request under way
	progress progress
	estimate *document.SummaryEstimate // counts what would be asked, in place of asking; nil to ask

	window batch // not looked up yet
	text   batch // to be summarised: all that their parts lack is in it
	above  batch // to be summarised once parts that are in other requests are
}

// batch is a list of nodes. Its size is about what they come to in a request.
type batch struct {
	nodes []*node
	index map[*result]int
	named map[document.Hash]*node
	size  int // tokens
}

func (b *batch) add(n *node, size int) {
	if b.index == nil {
		b.index, b.named = map[*result]int{}, map[document.Hash]*node{}
	}
	b.index[n.result], b.named[n.hash] = len(b.nodes), n
	b.nodes = append(b.nodes, n)
	b.size += size
}

// fits reports whether a node of that size can be added.
func (b *batch) fits(size int, room room) bool {
	return len(b.nodes) == 0 || len(b.nodes) < room.sections && b.size+size <= room.tokens
}

// holds reports whether the result is that of one of the nodes.
func (b *batch) holds(r *result) bool { _, here := b.index[r]; return here }

func newSummaries(group *goroutine.Group, stop <-chan struct{}, step *Step, work document.Work) *summaries {
	return &summaries{step: step, work: work, group: group, stop: stop, slots: make(chan struct{}, step.Parallel)}
}

// errStopped is why nothing more is begun; what failed is the group's to tell.
var errStopped = errors.New("another section failed")

// wait returns a node's summary, or why it is not waited for any longer. What
// the model has been asked for meanwhile is paid for, and still kept.
func (s *summaries) wait(ctx context.Context, n *node) (string, error) {
	select {
	case <-n.done:
		return n.text, nil
	case <-s.stop:
		return "", errStopped
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// stopped returns why nothing more is begun, nil for nothing.
func (s *summaries) stopped() error {
	select {
	case <-s.stop:
		return errStopped
	default:
		return nil
	}
}

// enter waits for a slot, so that at most Step.Parallel requests are under way
// and as many texts are held.
func (s *summaries) enter(ctx context.Context) error {
	select {
	case s.slots <- struct{}{}:
		return nil
	case <-s.stop:
		return errStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// leaf returns the node of a run of text under one heading.
func (s *summaries) leaf(ctx context.Context, path string, texts []string, tokens int) (*node, error) {
	s.progress.sections.Add(1)
	n := newNode(s.leafHash(path, texts), path)
	if tokens <= verbatimTokens {
		s.progress.done.Add(1)
		n.resolve(verbatim(texts))
		return n, nil
	}
	n.texts, n.tokens = texts, tokens
	return n, s.add(ctx, n)
}

// join returns the node of several parts.
func (s *summaries) join(ctx context.Context, path string, parts []*node) (*node, error) {
	s.progress.sections.Add(1)
	n := newNode(s.partsHash(path, parts), path)
	n.parts = parts
	return n, s.add(ctx, n)
}

// add adds a node to those that are looked up together.
func (s *summaries) add(ctx context.Context, n *node) error {
	s.window.add(n, n.tokens)
	if len(s.window.nodes) < windowSections && s.window.size < s.step.room().tokens {
		return nil
	}
	return s.lookUp(ctx)
}

// lookUp gives the nodes of the window the summaries that are kept, and has the
// others summarised.
func (s *summaries) lookUp(ctx context.Context) error {
	window := s.window
	s.window = batch{}
	if len(window.nodes) == 0 {
		return nil
	}
	hashes := make([]document.Hash, len(window.nodes))
	for i, n := range window.nodes {
		hashes[i] = n.hash
	}
	work := s.work
	if s.estimate != nil {
		work = document.Work{} // which uses none of them
	}
	kept, err := s.step.Store.SectionSummaries(ctx, work, hashes)
	if err != nil {
		return fmt.Errorf("look up the summaries of %d sections: %w", len(hashes), err)
	}
	held := map[document.Hash]string{} // paid for by an earlier attempt
	var missing []*node
	for _, n := range window.nodes {
		text, is := kept[n.hash]
		if is {
			s.progress.reused.Add(1)
		} else if text, is = s.step.held().Get(bought{s.work.Tenant, n.hash}); is {
			held[n.hash] = text
		}
		if is {
			s.progress.done.Add(1)
			n.resolve(text)
		} else {
			missing = append(missing, n)
		}
	}
	if s.estimate == nil {
		if len(held) > 0 {
			if err := s.save(ctx, held); err != nil {
				return fmt.Errorf("keep the summaries of %d sections: %w", len(held), err)
			}
		}
		s.step.Live.Report(ctx, s.work, s.progress.snapshot())
	}
	for _, n := range missing {
		if err := s.place(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// place puts a node that is to be summarised to others of its request. One whose
// parts are all known, or in the same request, needs to wait for none.
func (s *summaries) place(ctx context.Context, n *node) error {
	if other := s.equal(n); other != nil {
		n.result, n.texts, n.parts = other.result, nil, nil
		s.progress.done.Add(1)
		return nil
	}
	room := s.step.room()
	size, waits := n.tokens+frameTokens, false
	for _, part := range n.parts {
		switch {
		case part.summarised():
			size += tokensOf(part.text)
		case s.text.holds(part.result):
		default:
			size += summaryTokens
			waits = true
		}
	}
	if len(n.parts) == 0 && !s.text.fits(size, room) {
		if err := s.send(ctx, &s.text); err != nil {
			return err
		}
	}
	if !waits && s.text.fits(size, room) {
		s.text.add(n, size)
		return nil
	}
	if !s.above.fits(size, room) {
		if err := s.send(ctx, &s.above); err != nil {
			return err
		}
	}
	s.above.add(n, size)
	return nil
}

// equal returns a node that is being summarised and is the same as n, if any is
// close.
func (s *summaries) equal(n *node) *node {
	if other := s.text.named[n.hash]; other != nil {
		return other
	}
	return s.above.named[n.hash]
}

// finish has all the rest summarised.
func (s *summaries) finish(ctx context.Context) error {
	if err := s.lookUp(ctx); err != nil {
		return err
	}
	room := s.step.room()
	if len(s.above.nodes) > 0 && len(s.text.nodes)+len(s.above.nodes) <= room.sections && s.text.size+s.above.size <= room.tokens {
		var last batch
		for _, n := range s.text.nodes {
			last.add(n, 0)
		}
		for _, n := range s.above.nodes {
			last.add(n, 0)
		}
		last.size = s.text.size + s.above.size
		s.text, s.above = batch{}, last
	}
	if err := s.send(ctx, &s.text); err != nil {
		return err
	}
	return s.send(ctx, &s.above)
}

// send has the nodes of a batch summarised in the background, once the parts
// that are in other requests are, and empties it. It waits for a slot if it need
// not wait for parts.
func (s *summaries) send(ctx context.Context, b *batch) error {
	nodes, index := b.nodes, b.index
	size := b.size
	*b = batch{}
	if len(nodes) == 0 {
		return nil
	}
	if s.estimate != nil {
		s.count(nodes, size)
		return nil
	}
	waits := false
	var parts []*node // in other requests
	for _, n := range nodes {
		for _, part := range n.parts {
			if _, here := index[part.result]; !here && !part.summarised() {
				parts, waits = append(parts, part), true
			}
		}
	}
	if !waits {
		if err := s.enter(ctx); err != nil {
			return err
		}
	}
	s.group.Go(func() error {
		for _, part := range parts {
			if _, err := s.wait(ctx, part); err != nil {
				return err
			}
		}
		if waits {
			if err := s.enter(ctx); err != nil {
				return err
			}
		}
		defer func() { <-s.slots }()
		return s.summarise(ctx, nodes, false)
	})
	return nil
}

// keep resolves nodes, by the summaries that a request has brought, and returns
// those that it has brought none for.
func (s *summaries) keep(ctx context.Context, nodes []*node, texts []string) (missing []*node, err error) {
	save := map[document.Hash]string{}
	for i, n := range nodes {
		if texts[i] == "" {
			missing = append(missing, n)
			continue
		}
		s.step.held().Put(bought{s.work.Tenant, n.hash}, texts[i], len(texts[i]))
		save[n.hash] = texts[i]
	}
	s.progress.done.Add(int64(len(save)))
	if err := s.save(ctx, save); err != nil {
		return nil, fmt.Errorf("keep the summaries of %d sections: %w", len(save), err)
	}
	for i, n := range nodes {
		if texts[i] != "" {
			n.resolve(texts[i])
		}
	}
	s.step.Live.Report(ctx, s.work, s.progress.snapshot())
	return missing, nil
}

package summary

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	// maxBatchSections bounds the sections of one request: their summaries fit into
	// the 4,096 tokens that every model can answer.
	maxBatchSections = 32

	// maxLookupSections bounds what is looked up at once.
	maxLookupSections = 256
)

// batcher has the nodes of a document summarised, those that are not kept
// already, as many together as one request takes. Nodes come after their parts.
type batcher struct {
	step     *Step
	work     task.Work
	group    *goroutine.Group
	stop     <-chan struct{} // closed at the first failure: nothing new is begun
	slots    chan struct{}   // one for each request under way
	progress progress
	estimate *document.SummaryEstimate // counts what would be asked, in place of asking; nil to ask

	unresolved batch // not looked up yet
	ready      batch // to be summarised: all that their parts lack is in it
	waiting    batch // to be summarised once parts that are in other requests are
}

// batch is a list of nodes. Its size is about what they come to in a request.
type batch struct {
	nodes  []*node
	index  map[*result]int
	byHash map[document.ContentHash]*node
	size   int // tokens
}

func (b *batch) add(n *node, size int) {
	if b.index == nil {
		b.index, b.byHash = map[*result]int{}, map[document.ContentHash]*node{}
	}
	b.index[n.result], b.byHash[n.hash] = len(b.nodes), n
	b.nodes = append(b.nodes, n)
	b.size += size
}

// fits reports whether a node of that size can be added.
func (b *batch) fits(size int, room requestLimit) bool {
	return len(b.nodes) == 0 || len(b.nodes) < room.sections && b.size+size <= room.tokens
}

// contains reports whether the result is that of one of the nodes.
func (b *batch) contains(r *result) bool { _, here := b.index[r]; return here }

func newBatcher(group *goroutine.Group, stop <-chan struct{}, step *Step, work task.Work) *batcher {
	return &batcher{step: step, work: work, group: group, stop: stop, slots: make(chan struct{}, step.ParallelRequests)}
}

// errStopped is why nothing more is begun; what failed is the group's to tell.
var errStopped = errors.New("another section failed")

// awaitSummary returns a node's summary, or why it is not waited for any longer. What
// the model has been asked for meanwhile is paid for, and still kept.
func (s *batcher) awaitSummary(ctx context.Context, n *node) (string, error) {
	select {
	case <-n.done:
		return n.text, nil
	case <-s.stop:
		return "", errStopped
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// checkStopped returns why nothing more is begun, nil for nothing.
func (s *batcher) checkStopped() error {
	select {
	case <-s.stop:
		return errStopped
	default:
		return nil
	}
}

// acquireSlot waits for a slot, so that at most Step.Parallel requests are under way
// and as many texts are held.
func (s *batcher) acquireSlot(ctx context.Context) error {
	select {
	case s.slots <- struct{}{}:
		return nil
	case <-s.stop:
		return errStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// addLeaf returns the node of a run of text under one heading.
func (s *batcher) addLeaf(ctx context.Context, path string, texts []string, tokens int) (*node, error) {
	s.progress.sections.Add(1)
	n := newNode(s.leafHash(path, texts), path)
	if tokens <= verbatimTokens {
		s.progress.done.Add(1)
		n.resolve(verbatimSummary(texts))
		return n, nil
	}
	n.texts, n.tokens = texts, tokens
	return n, s.addNode(ctx, n)
}

// addParent returns the node of several parts.
func (s *batcher) addParent(ctx context.Context, path string, parts []*node) (*node, error) {
	s.progress.sections.Add(1)
	n := newNode(s.partsHash(path, parts), path)
	n.parts = parts
	return n, s.addNode(ctx, n)
}

// addNode adds a node to those that are looked up together.
func (s *batcher) addNode(ctx context.Context, n *node) error {
	s.unresolved.add(n, n.tokens)
	if len(s.unresolved.nodes) < maxLookupSections && s.unresolved.size < s.step.currentLimit().tokens {
		return nil
	}
	return s.resolveSaved(ctx)
}

// resolveSaved gives the nodes of the window the summaries that are kept, and has the
// others summarised.
func (s *batcher) resolveSaved(ctx context.Context) error {
	window := s.unresolved
	s.unresolved = batch{}
	if len(window.nodes) == 0 {
		return nil
	}
	hashes := make([]document.ContentHash, len(window.nodes))
	for i, n := range window.nodes {
		hashes[i] = n.hash
	}
	work := s.work
	if s.estimate != nil {
		work = task.Work{} // which uses none of them
	}
	kept, err := s.step.Store.ReuseSectionSummaries(ctx, work, hashes)
	if err != nil {
		return fmt.Errorf("look up the summaries of %d sections: %w", len(hashes), err)
	}
	held := map[document.ContentHash]string{} // paid for by an earlier attempt
	var missing []*node
	for _, n := range window.nodes {
		text, is := kept[n.hash]
		if is {
			s.progress.reused.Add(1)
		} else if text, is = s.step.unsaved.Get(summaryKey{s.work.Tenant, n.hash}); is {
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
			if err := s.saveSummaries(ctx, held); err != nil {
				return fmt.Errorf("keep the summaries of %d sections: %w", len(held), err)
			}
		}
		s.step.Progress.ReportProgress(ctx, s.work, s.progress.snapshot())
	}
	for _, n := range missing {
		if err := s.addToBatch(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// addToBatch puts a node that is to be summarised to others of its request. One whose
// parts are all known, or in the same request, needs to wait for none.
func (s *batcher) addToBatch(ctx context.Context, n *node) error {
	if other := s.findEqual(n); other != nil {
		n.result, n.texts, n.parts = other.result, nil, nil
		s.progress.done.Add(1)
		return nil
	}
	room := s.step.currentLimit()
	size, waits := n.tokens+sectionOverheadTokens, false
	for _, part := range n.parts {
		switch {
		case part.summarised():
			size += estimateTokens(part.text)
		case s.ready.contains(part.result):
		default:
			size += summaryTokens
			waits = true
		}
	}
	if len(n.parts) == 0 && !s.ready.fits(size, room) {
		if err := s.sendBatch(ctx, &s.ready); err != nil {
			return err
		}
	}
	if !waits && s.ready.fits(size, room) {
		s.ready.add(n, size)
		return nil
	}
	if !s.waiting.fits(size, room) {
		if err := s.sendBatch(ctx, &s.waiting); err != nil {
			return err
		}
	}
	s.waiting.add(n, size)
	return nil
}

// findEqual returns a node that is being summarised and is the same as n, if any is
// close.
func (s *batcher) findEqual(n *node) *node {
	if other := s.ready.byHash[n.hash]; other != nil {
		return other
	}
	return s.waiting.byHash[n.hash]
}

// flush has all the rest summarised.
func (s *batcher) flush(ctx context.Context) error {
	if err := s.resolveSaved(ctx); err != nil {
		return err
	}
	room := s.step.currentLimit()
	if len(s.waiting.nodes) > 0 && len(s.ready.nodes)+len(s.waiting.nodes) <= room.sections && s.ready.size+s.waiting.size <= room.tokens {
		var last batch
		for _, n := range s.ready.nodes {
			last.add(n, 0)
		}
		for _, n := range s.waiting.nodes {
			last.add(n, 0)
		}
		last.size = s.ready.size + s.waiting.size
		s.ready, s.waiting = batch{}, last
	}
	if err := s.sendBatch(ctx, &s.ready); err != nil {
		return err
	}
	return s.sendBatch(ctx, &s.waiting)
}

// sendBatch has the nodes of a batch summarised in the background, once the parts
// that are in other requests are, and empties it. It waits for a slot if it need
// not wait for parts.
func (s *batcher) sendBatch(ctx context.Context, b *batch) error {
	nodes, index := b.nodes, b.index
	size := b.size
	*b = batch{}
	if len(nodes) == 0 {
		return nil
	}
	if s.estimate != nil {
		s.countRequest(nodes, size)
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
		if err := s.acquireSlot(ctx); err != nil {
			return err
		}
	}
	s.group.Go(func() error {
		for _, part := range parts {
			if _, err := s.awaitSummary(ctx, part); err != nil {
				return err
			}
		}
		if waits {
			if err := s.acquireSlot(ctx); err != nil {
				return err
			}
		}
		defer func() { <-s.slots }()
		return s.summariseNodes(ctx, nodes, false)
	})
	return nil
}

// saveAnswers resolves nodes, by the summaries that a request has brought, and returns
// those that it has brought none for.
func (s *batcher) saveAnswers(ctx context.Context, nodes []*node, texts []string) (missing []*node, err error) {
	save := map[document.ContentHash]string{}
	for i, n := range nodes {
		if texts[i] == "" {
			missing = append(missing, n)
			continue
		}
		s.step.unsaved.Put(summaryKey{s.work.Tenant, n.hash}, texts[i], len(texts[i]))
		save[n.hash] = texts[i]
	}
	s.progress.done.Add(int64(len(save)))
	if err := s.saveSummaries(ctx, save); err != nil {
		return nil, fmt.Errorf("keep the summaries of %d sections: %w", len(save), err)
	}
	for i, n := range nodes {
		if texts[i] != "" {
			n.resolve(texts[i])
		}
	}
	s.step.Progress.ReportProgress(ctx, s.work, s.progress.snapshot())
	return missing, nil
}

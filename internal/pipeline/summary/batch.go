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
	// maxBatchSections is the maximum number of sections in one request. Their summaries fit into
	// the 4,096 tokens that every model can return.
	maxBatchSections = 32

	// maxLookupSections is the maximum number of sections that are looked up together.
	maxLookupSections = 256
)

// batcher gets the nodes of a document summarised: it reuses stored summaries, and packs as many of
// the other nodes into a request as it takes. Nodes must be added after their parts.
type batcher struct {
	step     *Step
	work     task.Work
	group    *goroutine.Group
	stop     <-chan struct{} // closed at the first failure: nothing new begins
	slots    chan struct{}   // holds one value for each request under way
	progress progress
	estimate *document.SummaryEstimate // if set, requests are counted here and not sent

	unresolved batch // nodes that are not looked up yet
	ready      batch // nodes whose parts are summarised or in this batch too
	waiting    batch // nodes that wait for parts in other requests
}

// batch is a list of nodes for one request.
type batch struct {
	nodes  []*node
	index  map[*result]int // positions in nodes
	byHash map[document.ContentHash]*node
	size   int // approximate number of tokens in the request
}

func (b *batch) add(n *node, size int) {
	if b.index == nil {
		b.index, b.byHash = map[*result]int{}, map[document.ContentHash]*node{}
	}
	b.index[n.result], b.byHash[n.hash] = len(b.nodes), n
	b.nodes = append(b.nodes, n)
	b.size += size
}

// fits reports whether a node of the given size can be added.
func (b *batch) fits(size int, limit requestLimit) bool {
	return len(b.nodes) == 0 || len(b.nodes) < limit.sections && b.size+size <= limit.tokens
}

// contains reports whether the result belongs to one of the nodes.
func (b *batch) contains(r *result) bool { _, here := b.index[r]; return here }

func newBatcher(group *goroutine.Group, stop <-chan struct{}, step *Step, work task.Work) *batcher {
	return &batcher{step: step, work: work, group: group, stop: stop, slots: make(chan struct{}, step.ParallelRequests)}
}

// errStopped is the error of work that did not begin because another section failed. The group
// returns the error of that section.
var errStopped = errors.New("another section failed")

// awaitSummary waits for the summary of a node. It returns an error if a section fails or ctx ends.
// Summaries that were requested before that are paid for, and are still saved.
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

// checkStopped returns errStopped if a section has failed.
func (s *batcher) checkStopped() error {
	select {
	case <-s.stop:
		return errStopped
	default:
		return nil
	}
}

// acquireSlot waits for a slot, so that at most Step.ParallelRequests requests are under way and
// hold their texts.
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

// addLeaf returns the node of a run of text under one heading. A short text is its own summary.
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

// addParent returns the node that combines several parts.
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

// resolveSaved looks up the unresolved nodes. Those with a stored summary get it; the others are
// added to batches.
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
		work = task.Work{} // an estimate uses none of the summaries
	}
	saved, err := s.step.Store.ReuseSectionSummaries(ctx, work, hashes)
	if err != nil {
		return fmt.Errorf("look up the summaries of %d sections: %w", len(hashes), err)
	}
	unsaved := map[document.ContentHash]string{} // from an earlier attempt, which paid for them
	var missing []*node
	for _, n := range window.nodes {
		text, found := saved[n.hash]
		if found {
			s.progress.reused.Add(1)
		} else if text, found = s.step.unsaved.Get(summaryKey{s.work.Tenant, n.hash}); found {
			unsaved[n.hash] = text
		}
		if found {
			s.progress.done.Add(1)
			n.resolve(text)
		} else {
			missing = append(missing, n)
		}
	}
	if s.estimate == nil {
		if len(unsaved) > 0 {
			if err := s.saveSummaries(ctx, unsaved); err != nil {
				return fmt.Errorf("save the summaries of %d sections: %w", len(unsaved), err)
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

// addToBatch adds a node to the batch ready if all its parts are summarised or in that batch, and to
// waiting otherwise. A batch that is full is sent first.
func (s *batcher) addToBatch(ctx context.Context, n *node) error {
	if other := s.findEqual(n); other != nil {
		n.result, n.texts, n.parts = other.result, nil, nil
		s.progress.done.Add(1)
		return nil
	}
	limit := s.step.currentLimit()
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
	if len(n.parts) == 0 && !s.ready.fits(size, limit) {
		if err := s.sendBatch(ctx, &s.ready); err != nil {
			return err
		}
	}
	if !waits && s.ready.fits(size, limit) {
		s.ready.add(n, size)
		return nil
	}
	if !s.waiting.fits(size, limit) {
		if err := s.sendBatch(ctx, &s.waiting); err != nil {
			return err
		}
	}
	s.waiting.add(n, size)
	return nil
}

// findEqual returns a node of the current batches that is equal to n, or nil.
func (s *batcher) findEqual(n *node) *node {
	if other := s.ready.byHash[n.hash]; other != nil {
		return other
	}
	return s.waiting.byHash[n.hash]
}

// flush sends what is left.
func (s *batcher) flush(ctx context.Context) error {
	if err := s.resolveSaved(ctx); err != nil {
		return err
	}
	limit := s.step.currentLimit()
	if len(s.waiting.nodes) > 0 && len(s.ready.nodes)+len(s.waiting.nodes) <= limit.sections && s.ready.size+s.waiting.size <= limit.tokens {
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

// sendBatch empties a batch and gets its nodes summarised in the background, after their parts in
// other requests. If it does not have to wait for parts, it waits for a slot before it returns.
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
	var parts []*node // parts in other requests
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

// saveAnswers saves the summaries that a request has returned and resolves their nodes. texts has
// one text for each node, "" for none. It returns the nodes without a summary.
func (s *batcher) saveAnswers(ctx context.Context, nodes []*node, texts []string) (missing []*node, err error) {
	summaries := map[document.ContentHash]string{}
	for i, n := range nodes {
		if texts[i] == "" {
			missing = append(missing, n)
			continue
		}
		s.step.unsaved.Put(summaryKey{s.work.Tenant, n.hash}, texts[i], len(texts[i]))
		summaries[n.hash] = texts[i]
	}
	s.progress.done.Add(int64(len(summaries)))
	if err := s.saveSummaries(ctx, summaries); err != nil {
		return nil, fmt.Errorf("save the summaries of %d sections: %w", len(summaries), err)
	}
	for i, n := range nodes {
		if texts[i] != "" {
			n.resolve(texts[i])
		}
	}
	s.step.Progress.ReportProgress(ctx, s.work, s.progress.snapshot())
	return missing, nil
}

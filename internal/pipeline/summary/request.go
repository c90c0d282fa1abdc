package summary

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/seed-7a112592/gristmill/internal/embedding"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/provider"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	// unsavedBytes bounds the summaries that are paid for but not yet saved.
	unsavedBytes = 8 << 20

	// saveTimeout bounds the time to save summaries after the context has ended.
	saveTimeout = time.Second

	// maxShortenings is how often a section that is too long is shortened.
	maxShortenings = 8
)

// summaryKey identifies an unsaved summary.
type summaryKey struct {
	tenant string
	node   document.ContentHash
}

// summariseNodes requests the summaries of nodes together. Nodes that are missing in the response are
// requested together once more, and after that (retry is true) one by one. A request that the model
// refuses is halved. So no section is in more than three requests, except because of halving. The
// parts of each node must be summarised or be among the nodes before it.
func (s *batcher) summariseNodes(ctx context.Context, nodes []*node, retry bool) error {
	if err := s.checkStopped(); err != nil {
		return err
	}
	limit := s.step.currentLimit()
	if len(nodes) == 1 || limit.sections == 1 {
		return s.summariseEach(ctx, nodes)
	}
	texts, err := s.askForAll(ctx, nodes)
	switch {
	case fault.Is(err, fault.BadResponse):
		s.step.limits.noteBadAnswer()
		s.step.Log.WarnContext(ctx, "the model returned no usable summaries for several sections; requesting them one by one", "key", s.work.Key, "sections", len(nodes), "error", err)
		return s.summariseEach(ctx, nodes)
	case embedding.IsRefused(err):
		if fault.Is(err, fault.InputTooLong) {
			s.step.limits.noteTooLong(s.step.configuredLimit(), limit)
		}
		s.step.Log.WarnContext(ctx, "the model refused a request for several sections; halving it", "key", s.work.Key, "sections", len(nodes), "error", err)
		half := (len(nodes) + 1) / 2
		if err := s.summariseNodes(ctx, nodes[:half], retry); err != nil {
			return err
		}
		return s.summariseNodes(ctx, nodes[half:], retry)
	case err != nil:
		return fmt.Errorf("summarise %d sections from %q: %w", len(nodes), nodes[0].path, err)
	}
	s.step.limits.noteGoodAnswer()
	missing, err := s.saveAnswers(ctx, nodes, texts)
	switch {
	case err != nil || len(missing) == 0:
		return err
	case retry:
		return s.summariseEach(ctx, missing)
	default:
		return s.summariseNodes(ctx, missing, true)
	}
}

// askForAll sends one request for all nodes.
func (s *batcher) askForAll(ctx context.Context, nodes []*node) (texts []string, err error) {
	index := make(map[*result]int, len(nodes))
	sections := make([]provider.Section, len(nodes))
	for i, n := range nodes {
		sections[i] = n.toSection(index)
		index[n.result] = i
	}
	start := time.Now()
	err = s.step.WriteBreaker.CallProvider(ctx, func(ctx context.Context) (err error) {
		texts, err = s.step.Summariser.SummariseSections(ctx, sections)
		return err
	})
	if err == nil {
		s.step.Metrics.ObserveStage("summarise", start)
	}
	return texts, err
}

// summariseEach requests the summaries one by one.
func (s *batcher) summariseEach(ctx context.Context, nodes []*node) error {
	for _, n := range nodes {
		if err := s.summariseOne(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// summariseOne requests the summary of one node. It shortens texts that are too long. If the model
// refuses the text, the node gets an extract instead, so that the document still gets a
// summary.
func (s *batcher) summariseOne(ctx context.Context, n *node) error {
	if err := s.checkStopped(); err != nil {
		return err
	}
	texts := n.content()
	start := time.Now()
	text, refused := s.askShortening(ctx, n.path, texts)
	switch {
	case refused == nil:
		s.step.Metrics.ObserveStage("summarise", start)
		_, err := s.saveAnswers(ctx, []*node{n}, []string{text})
		return err
	case !embedding.IsRefused(refused):
		return fmt.Errorf("summarise %q: %w", n.path, refused)
	}
	s.step.Log.WarnContext(ctx, "the model refused a section; an extract replaces its summary", "key", s.work.Key, "section", n.path, "error", refused)
	s.progress.extracted.Add(1)
	why := fmt.Sprintf("%q: %s", n.path, embedding.Refusal{Err: refused}.Reason())
	s.progress.firstExtracted.CompareAndSwap(nil, &why)
	text, err := s.step.Extract(ctx, n.path, texts)
	if err != nil {
		return fmt.Errorf("summarise %q: %w", n.path, err)
	}
	s.progress.done.Add(1)
	n.resolve(text) // not saved: an extract is not the model's, and costs nothing to make again
	return nil
}

// askShortening requests the summary of texts. While they are too long, it tries again with less.
func (s *batcher) askShortening(ctx context.Context, path string, texts []string) (string, error) {
	text, err := s.askForText(ctx, path, texts)
	if !embedding.IsRefused(err) {
		return text, err
	}
	s.progress.refused.Add(1)
	part := strings.Join(texts, "\n\n")
	for range maxShortenings {
		if !fault.Is(err, fault.InputTooLong) {
			break
		}
		if part = embedding.TruncateRefused(part, err); part == "" {
			break
		}
		if text, err = s.askForText(ctx, path, []string{part}); !embedding.IsRefused(err) {
			break
		}
	}
	return text, err
}

// askForText sends one request, unless its result could not be saved.
func (s *batcher) askForText(ctx context.Context, path string, texts []string) (text string, err error) {
	err = s.step.WriteBreaker.CallProvider(ctx, func(ctx context.Context) (err error) {
		text, err = s.step.Summariser.Summarise(ctx, path, texts)
		return err
	})
	return text, err
}

// saveSummaries saves summaries. While the database is unavailable, it tries again; after ctx has
// ended, for at most saveTimeout.
func (s *batcher) saveSummaries(ctx context.Context, texts map[document.ContentHash]string) error {
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
		defer cancel()
	}
	err := s.step.WriteBreaker.RetryWrite(ctx, func(ctx context.Context) error {
		return s.step.Store.SaveSectionSummaries(ctx, s.work, texts, s.progress.snapshot())
	})
	if err == nil {
		for node := range texts {
			s.step.unsaved.Delete(summaryKey{s.work.Tenant, node})
		}
	}
	return err
}

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
	// unsavedBytes bounds the summaries that are paid for and not yet written.
	unsavedBytes = 8 << 20

	// saveTimeout bounds keeping what was paid for when the context is over.
	saveTimeout = time.Second

	// maxShortenings is how often a section that is too long is cut.
	maxShortenings = 8
)

// summaryKey names a summary that is paid for.
type summaryKey struct {
	tenant string
	node   document.ContentHash
}

// summariseNodes asks for the summaries of nodes in one request. Those that the answer
// lacks are asked for once more, if it has any, and then each by itself. A request
// that the model does not take is halved. So no section is ever more than three
// requests. The parts of each node are summarised, or nodes before it.
func (s *batcher) summariseNodes(ctx context.Context, nodes []*node, again bool) error {
	if err := s.checkStopped(); err != nil {
		return err
	}
	room := s.step.currentLimit()
	if len(nodes) == 1 || room.sections == 1 {
		return s.summariseEach(ctx, nodes)
	}
	texts, err := s.askForAll(ctx, nodes)
	switch {
	case fault.Is(err, fault.BadResponse):
		s.step.limits.noteBadAnswer()
		s.step.Log.WarnContext(ctx, "the model does not answer several sections at once; each is asked for by itself", "key", s.work.Key, "sections", len(nodes), "error", err)
		return s.summariseEach(ctx, nodes)
	case embedding.IsRefused(err):
		if fault.Is(err, fault.InputTooLong) {
			s.step.limits.noteTooLong(s.step.configuredLimit(), room)
		}
		s.step.Log.WarnContext(ctx, "the model refuses several sections at once; they are asked for in two requests", "key", s.work.Key, "sections", len(nodes), "error", err)
		half := (len(nodes) + 1) / 2
		if err := s.summariseNodes(ctx, nodes[:half], again); err != nil {
			return err
		}
		return s.summariseNodes(ctx, nodes[half:], again)
	case err != nil:
		return fmt.Errorf("summarise %d sections from %q: %w", len(nodes), nodes[0].path, err)
	}
	s.step.limits.noteGoodAnswer()
	missing, err := s.saveAnswers(ctx, nodes, texts)
	switch {
	case err != nil || len(missing) == 0:
		return err
	case again:
		return s.summariseEach(ctx, missing)
	default:
		return s.summariseNodes(ctx, missing, true)
	}
}

// askForAll sends one request for all the nodes.
func (s *batcher) askForAll(ctx context.Context, nodes []*node) (texts []string, err error) {
	index := make(map[*result]int, len(nodes))
	sections := make([]provider.Section, len(nodes))
	for i, n := range nodes {
		sections[i] = n.toSection(index)
		index[n.result] = i
	}
	began := time.Now()
	err = s.step.Gate.CallProvider(ctx, func(ctx context.Context) (err error) {
		texts, err = s.step.Summariser.SummariseSections(ctx, sections)
		return err
	})
	if err == nil {
		s.step.Metrics.ObserveStage("summarise", began)
	}
	return texts, err
}

// summariseEach asks for one summary after the other.
func (s *batcher) summariseEach(ctx context.Context, nodes []*node) error {
	for _, n := range nodes {
		if err := s.summariseOne(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// summariseOne asks for the summary of one node. Texts that are too long are cut to what
// the model takes; of those that it refuses an extract is made. Neither keeps the
// document from having a summary.
func (s *batcher) summariseOne(ctx context.Context, n *node) error {
	if err := s.checkStopped(); err != nil {
		return err
	}
	texts := n.content()
	began := time.Now()
	text, refused := s.askShortening(ctx, n.path, texts)
	switch {
	case refused == nil:
		s.step.Metrics.ObserveStage("summarise", began)
		_, err := s.saveAnswers(ctx, []*node{n}, []string{text})
		return err
	case !embedding.IsRefused(refused):
		return fmt.Errorf("summarise %q: %w", n.path, refused)
	}
	s.step.Log.WarnContext(ctx, "the model refuses a section; an extract stands for its summary", "key", s.work.Key, "section", n.path, "error", refused)
	s.progress.extracted.Add(1)
	why := fmt.Sprintf("%q: %s", n.path, embedding.Refusal{Err: refused}.Reason())
	s.progress.firstExtracted.CompareAndSwap(nil, &why)
	text, err := s.step.Extract(ctx, n.path, texts)
	if err != nil {
		return fmt.Errorf("summarise %q: %w", n.path, err)
	}
	s.progress.done.Add(1)
	n.resolve(text) // an extract is not the model's, and is made again for nothing
	return nil
}

// askShortening asks for the summary of texts, and of less of them while they are too long.
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

// askForText sends one request, unless what it brings could not be written.
func (s *batcher) askForText(ctx context.Context, path string, texts []string) (text string, err error) {
	err = s.step.Gate.CallProvider(ctx, func(ctx context.Context) (err error) {
		text, err = s.step.Summariser.Summarise(ctx, path, texts)
		return err
	})
	return text, err
}

// saveSummaries writes summaries for as long as the database cannot be used, or as the
// context's end leaves time for.
func (s *batcher) saveSummaries(ctx context.Context, texts map[document.ContentHash]string) error {
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
		defer cancel()
	}
	err := s.step.Gate.RetryWrite(ctx, func(ctx context.Context) error {
		return s.step.Store.SaveSectionSummaries(ctx, s.work, texts, s.progress.snapshot())
	})
	if err == nil {
		for node := range texts {
			s.step.unsaved.Delete(summaryKey{s.work.Tenant, node})
		}
	}
	return err
}

package summary

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/embedding"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/writeback"
)

const (
	// unsavedBytes bounds the summaries that are paid for and not yet written.
	unsavedBytes = 8 << 20

	// saveTimeout bounds keeping what was paid for when the context is over.
	saveTimeout = time.Second

	// maxCuts is how often a section that is too long is cut.
	maxCuts = 8
)

// bought names a summary that is paid for.
type bought struct {
	tenant string
	node   document.Hash
}

// held returns the summaries of this process that are not written yet.
func (s *Step) held() *writeback.Buffer[bought, string] {
	s.once.Do(func() { s.unsaved = writeback.NewBuffer[bought, string](unsavedBytes) })
	return s.unsaved
}

// summarise asks for the summaries of nodes in one request. Those that the answer
// lacks are asked for once more, if it has any, and then each by itself. A request
// that the model does not take is halved. So no section is ever more than three
// requests. The parts of each node are summarised, or nodes before it.
func (s *summaries) summarise(ctx context.Context, nodes []*node, again bool) error {
	if err := s.stopped(); err != nil {
		return err
	}
	room := s.step.room()
	if len(nodes) == 1 || room.sections == 1 {
		return s.each(ctx, nodes)
	}
	texts, err := s.askTogether(ctx, nodes)
	switch {
	case fault.Is(err, fault.BadAnswer):
		s.step.limits.unusable()
		s.step.Log.WarnContext(ctx, "the model does not answer several sections at once; each is asked for by itself", "key", s.work.Key, "sections", len(nodes), "error", err)
		return s.each(ctx, nodes)
	case embedding.IsRefused(err):
		if fault.Is(err, fault.TooLong) {
			s.step.limits.tooLong(s.step.whole(), room)
		}
		s.step.Log.WarnContext(ctx, "the model refuses several sections at once; they are asked for in two requests", "key", s.work.Key, "sections", len(nodes), "error", err)
		half := (len(nodes) + 1) / 2
		if err := s.summarise(ctx, nodes[:half], again); err != nil {
			return err
		}
		return s.summarise(ctx, nodes[half:], again)
	case err != nil:
		return fmt.Errorf("summarise %d sections from %q: %w", len(nodes), nodes[0].path, err)
	}
	s.step.limits.usable()
	missing, err := s.keep(ctx, nodes, texts)
	switch {
	case err != nil || len(missing) == 0:
		return err
	case again:
		return s.each(ctx, missing)
	default:
		return s.summarise(ctx, missing, true)
	}
}

// askTogether sends one request for all the nodes.
func (s *summaries) askTogether(ctx context.Context, nodes []*node) (texts []string, err error) {
	index := make(map[*result]int, len(nodes))
	sections := make([]document.Section, len(nodes))
	for i, n := range nodes {
		sections[i] = n.section(index)
		index[n.result] = i
	}
	began := time.Now()
	err = s.step.Gate.Buy(ctx, func(ctx context.Context) (err error) {
		texts, err = s.step.Summariser.SummariseSections(ctx, sections)
		return err
	})
	if err == nil {
		s.step.Metrics.ObserveStage("summarise", began)
	}
	return texts, err
}

// each asks for one summary after the other.
func (s *summaries) each(ctx context.Context, nodes []*node) error {
	for _, n := range nodes {
		if err := s.one(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// one asks for the summary of one node. Texts that are too long are cut to what
// the model takes; of those that it refuses an extract is made. Neither keeps the
// document from having a summary.
func (s *summaries) one(ctx context.Context, n *node) error {
	if err := s.stopped(); err != nil {
		return err
	}
	texts := n.content()
	began := time.Now()
	text, refused := s.cut(ctx, n.path, texts)
	switch {
	case refused == nil:
		s.step.Metrics.ObserveStage("summarise", began)
		_, err := s.keep(ctx, []*node{n}, []string{text})
		return err
	case !embedding.IsRefused(refused):
		return fmt.Errorf("summarise %q: %w", n.path, refused)
	}
	s.step.Log.WarnContext(ctx, "the model refuses a section; an extract stands for its summary", "key", s.work.Key, "section", n.path, "error", refused)
	s.progress.extracted.Add(1)
	why := fmt.Sprintf("%q: %s", n.path, embedding.Refusal{Err: refused}.Words())
	s.progress.why.CompareAndSwap(nil, &why)
	text, err := s.step.Extract(ctx, n.path, texts)
	if err != nil {
		return fmt.Errorf("summarise %q: %w", n.path, err)
	}
	s.progress.done.Add(1)
	n.resolve(text) // an extract is not the model's, and is made again for nothing
	return nil
}

// cut asks for the summary of texts, and of less of them while they are too long.
func (s *summaries) cut(ctx context.Context, path string, texts []string) (string, error) {
	text, err := s.ask(ctx, path, texts)
	if !embedding.IsRefused(err) {
		return text, err
	}
	s.progress.refused.Add(1)
	part := strings.Join(texts, "\n\n")
	for range maxCuts {
		if !fault.Is(err, fault.TooLong) {
			break
		}
		if part = embedding.Shorten(part, err); part == "" {
			break
		}
		if text, err = s.ask(ctx, path, []string{part}); !embedding.IsRefused(err) {
			break
		}
	}
	return text, err
}

// ask sends one request, unless what it brings could not be written.
func (s *summaries) ask(ctx context.Context, path string, texts []string) (text string, err error) {
	err = s.step.Gate.Buy(ctx, func(ctx context.Context) (err error) {
		text, err = s.step.Summariser.Summarise(ctx, path, texts)
		return err
	})
	return text, err
}

// save writes summaries for as long as the database cannot be used, or as the
// context's end leaves time for.
func (s *summaries) save(ctx context.Context, texts map[document.Hash]string) error {
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
		defer cancel()
	}
	err := s.step.Gate.Write(ctx, func(ctx context.Context) error {
		return s.step.Store.SaveSectionSummaries(ctx, s.work, texts, s.progress.snapshot())
	})
	if err == nil {
		for node := range texts {
			s.step.held().Delete(bought{s.work.Tenant, node})
		}
	}
	return err
}

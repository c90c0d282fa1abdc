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

// buy returns the summary of a node that an earlier attempt has paid for, or
// asks the model for one, which is held until it is written. Extracted says that
// it is none of the model's.
func (s *summaries) buy(ctx context.Context, hash document.Hash, path string, texts []string) (text string, extracted bool, err error) {
	name := bought{s.work.Tenant, hash}
	if text, held := s.step.held().Get(name); held {
		return text, false, nil
	}
	began := time.Now()
	text, extracted, err = s.summarise(ctx, path, texts)
	if err != nil {
		return "", false, fmt.Errorf("summarise %q: %w", path, err)
	}
	s.step.Metrics.ObserveStage("summarise", began)
	if !extracted {
		s.step.held().Put(name, text, len(text))
	}
	return text, extracted, nil
}

// summarise asks the model for a summary. Texts that are too long are cut to
// what it takes; of those that it refuses an extract is made. Neither keeps the
// document from having a summary.
func (s *summaries) summarise(ctx context.Context, path string, texts []string) (text string, extracted bool, err error) {
	text, err = s.ask(ctx, path, texts)
	if !embedding.IsRefused(err) {
		return text, false, err
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
			return text, false, err
		}
	}
	s.step.Log.WarnContext(ctx, "the model refuses a section; an extract stands for its summary", "key", s.work.Key, "section", path, "error", err)
	s.progress.extracted.Add(1)
	why := fmt.Sprintf("%q: %s", path, embedding.Refusal{Err: err}.Words())
	s.progress.why.CompareAndSwap(nil, &why)
	text, err = s.step.Extract(ctx, path, texts)
	return text, true, err
}

// ask sends one request, unless what it brings could not be written.
func (s *summaries) ask(ctx context.Context, path string, texts []string) (text string, err error) {
	err = s.step.Gate.Buy(ctx, func(ctx context.Context) (err error) {
		text, err = s.step.Summariser.Summarise(ctx, path, texts)
		return err
	})
	return text, err
}

// save writes a summary for as long as the database cannot be used, or as the
// context's end leaves time for.
func (s *summaries) save(ctx context.Context, hash document.Hash, text string) error {
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), saveTimeout)
		defer cancel()
	}
	err := s.step.Gate.Write(ctx, func(ctx context.Context) error {
		return s.step.Store.SaveSectionSummary(ctx, s.work, hash, text, s.progress.snapshot())
	})
	if err == nil {
		s.step.held().Delete(bought{s.work.Tenant, hash})
	}
	return err
}

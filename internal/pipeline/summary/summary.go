// Package summary is the step that summarises a document: a tree over its
// headings, in which every summary is kept under the hash of what it
// summarises, so that only what changed is summarised again.
package summary

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/provider"
	"github.com/seed-7a112592/gristmill/internal/required"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/writeback"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Objects opens originals. The reader fetches ranges as it is read and may be
// read as slowly as one likes.
type Objects interface {
	Open(ctx context.Context, name string) (io.ReadSeekCloser, error)
}

// Store keeps summaries; see storetest.Summaries for the contract.
type Store interface {
	ReuseSectionSummaries(ctx context.Context, work task.Work, nodes []document.ContentHash) (map[document.ContentHash]string, error)
	SaveSectionSummaries(ctx context.Context, work task.Work, texts map[document.ContentHash]string, progress document.SummaryProgress) error
	SkipSummary(ctx context.Context, work task.Work) error
	FinishSummary(ctx context.Context, work task.Work, summary document.Summary, progress document.SummaryProgress, warnings ...document.Warning) error
}

// Summariser shortens texts that stand under one heading into one summary, in
// their own language. Equal versions give summaries of equal worth, so that a
// kept one can stand for a new one.
//
// SummariseSections does so for several sections of a document in one request,
// and returns "" for those of which its answer holds none. fault.BadAnswer when
// that is all of them, fault.Refused when the model does not take them together,
// and fault.TooLong when that is since they are too much.
type Summariser interface {
	SummariseSections(ctx context.Context, sections []provider.Section) ([]string, error)
	Summarise(ctx context.Context, heading string, texts []string) (string, error)
	Model() string   // for people
	Version() string // names model and prompt; kept summaries of another version are not used
}

// ProgressReporter is told how far a task is; see knowledge.Live.
type ProgressReporter interface {
	ReportProgress(ctx context.Context, work task.Work, progress any)
}

// Config is what the step needs.
type Config struct {
	Objects          Objects
	Store            Store
	Summariser       Summariser
	Progress         ProgressReporter
	Metrics          *telemetry.Metrics
	Log              *slog.Logger
	Gate             *writeback.Breaker // of the process
	ParallelRequests int                // requests for one document under way at a time

	// BatchTokens is about how much text one request holds: 0 for one section.
	BatchTokens int `zero:"ok"`

	// DefaultSummaryMode says when documents are summarised, in collections for which
	// that is not set; after each upload when empty.
	DefaultSummaryMode document.SummaryMode `zero:"ok"`

	// Extract makes a summary without a model, for what the model does not take.
	Extract func(ctx context.Context, heading string, texts []string) (string, error)
}

// Step summarises documents. Run may be called by many goroutines.
type Step struct {
	Config
	limits  learnedLimits
	unsaved *writeback.Buffer[summaryKey, string] // summaries of this process that are not yet written
}

// NewStep returns a step, or an error that names what config lacks.
func NewStep(config Config) (*Step, error) {
	if err := required.Fields(config); err != nil {
		return nil, err
	}
	return &Step{Config: config, unsaved: writeback.NewBuffer[summaryKey, string](unsavedBytes)}, nil
}

// extractiveModel is the model of a summary that holds extracts, since the configured
// model has none to give for some of the text.
const extractiveModel = "extractive"

// Run summarises one version of one document, unless its collection has no
// summaries, or has them on demand and nobody has asked. An original that is not what was
// uploaded fails it before the summary is finished. It holds at most
// Parallel requests, and twice as much as one holds of text before, and, per
// heading level, a bounded number of child summaries, whatever the size of the
// document.
func (s *Step) Run(ctx context.Context, work task.Work) error {
	mode := cmp.Or(work.Summaries, s.DefaultSummaryMode)
	if mode == document.SummariesOff || mode == document.SummariesOnDemand && !work.SummaryRequested {
		return s.Store.SkipSummary(ctx, work)
	}
	source, err := original.Open(ctx, s.Objects, work.Original())
	if err != nil {
		return err
	}
	defer source.Close()

	group, failing := goroutine.WithContext(ctx)
	tree := newTreeBuilder(group, failing.Done(), s, work)
	text, failed := tree.summariseDocument(ctx, source)
	// A section that failed is why the rest was stopped, so it goes first.
	if err := group.Wait(); err != nil {
		return fmt.Errorf("summarise %s: %w", work.Key, err)
	}
	if failed != nil {
		return fmt.Errorf("cut %s: %w", work.Key, failed)
	}
	model := s.Summariser.Model()
	if tree.progress.extracted.Load() > 0 {
		model = extractiveModel // at least in part
	}
	summary := document.Summary{DocumentID: work.DocumentID, Version: work.Version, Model: model, Summary: text}
	if err := s.Store.FinishSummary(ctx, work, summary, tree.progress.snapshot(), tree.progress.warnings()...); err != nil {
		return fmt.Errorf("finish summary of %s: %w", work.Key, err)
	}
	s.Log.InfoContext(ctx, "document is summarised", "key", work.Key, "version", work.Version,
		"sections", tree.progress.sections.Load(), "reused", tree.progress.reused.Load())
	return nil
}

// Package summary is the step that summarises a document. It builds a tree over the headings, and
// saves each summary under the hash of what it summarises, so that only changed sections are
// summarised again.
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

// Objects opens originals. The reader fetches ranges as it is read, and may be read slowly.
type Objects interface {
	Open(ctx context.Context, name string) (io.ReadSeekCloser, error)
}

// Store holds summaries; see storetest.Summaries for the contract.
type Store interface {
	ReuseSectionSummaries(ctx context.Context, work task.Work, nodes []document.ContentHash) (map[document.ContentHash]string, error)
	SaveSectionSummaries(ctx context.Context, work task.Work, texts map[document.ContentHash]string, progress document.SummaryProgress) error
	SkipSummary(ctx context.Context, work task.Work) error
	FinishSummary(ctx context.Context, work task.Work, summary document.Summary, progress document.SummaryProgress, warnings ...document.Warning) error
}

// Summariser makes one summary of the texts under one heading, in their language. Equal versions make
// equivalent summaries, so that a stored one can replace a new one.
//
// SummariseSections summarises several sections of a document in one request. It returns "" for
// sections that are missing in the response. It returns fault.BadResponse if that is all of them, and
// fault.InputRejected if the model does not take them together, or fault.InputTooLong if the reason
// is their size.
type Summariser interface {
	SummariseSections(ctx context.Context, sections []provider.Section) ([]string, error)
	Summarise(ctx context.Context, heading string, texts []string) (string, error)
	Model() string   // for users
	Version() string // identifies model and prompt; summaries of another version are not reused
}

// ProgressReporter receives the progress of a task; see knowledge.ProgressReporter.
type ProgressReporter interface {
	ReportProgress(ctx context.Context, work task.Work, progress any)
}

// Config holds what the step needs.
type Config struct {
	Objects          Objects
	Store            Store
	Summariser       Summariser
	Progress         ProgressReporter
	Metrics          *telemetry.Metrics
	Log              *slog.Logger
	WriteBreaker     *writeback.Breaker // shared by the process
	ParallelRequests int                // maximum number of concurrent requests for one document

	// BatchTokens is the approximate maximum of tokens in one request; 0 for one section a request.
	BatchTokens int `zero:"ok"`

	// DefaultSummaryMode says when documents are summarised, for collections without a mode of their
	// own; empty means after each upload.
	DefaultSummaryMode document.SummaryMode `zero:"ok"`

	// Extract makes a summary without a model, for text that the model refuses.
	Extract func(ctx context.Context, heading string, texts []string) (string, error)
}

// Step summarises documents. It is safe for concurrent use.
type Step struct {
	Config
	limits  learnedLimits
	unsaved *writeback.Buffer[summaryKey, string] // summaries that are paid for but not yet saved
}

// NewStep returns a step, or an error that names the fields that config lacks.
func NewStep(config Config) (*Step, error) {
	if err := required.Fields(config); err != nil {
		return nil, err
	}
	return &Step{Config: config, unsaved: writeback.NewBuffer[summaryKey, string](unsavedBytes)}, nil
}

// extractiveModel is the model of a summary that contains extracts, because the configured model
// refused some of the text.
const extractiveModel = "extractive"

// Run summarises one version of a document, unless the summary mode of its collection is off, or on
// demand and nobody has requested the summary. If the original is damaged, Run fails before the
// summary is finished. Its memory does not grow with the document: it holds at most ParallelRequests
// requests, twice the text of one request that is being prepared, and for each heading level a
// bounded number of summaries.
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
	// A failed section is the reason why the others stopped, so its error goes first.
	if err := group.Wait(); err != nil {
		return fmt.Errorf("summarise %s: %w", work.Key, err)
	}
	if failed != nil {
		return fmt.Errorf("split %s: %w", work.Key, failed)
	}
	model := s.Summariser.Model()
	if tree.progress.extracted.Load() > 0 {
		model = extractiveModel // at least in part
	}
	summary := document.Summary{DocumentID: work.DocumentID, Version: work.Version, Model: model, Summary: text}
	if err := s.Store.FinishSummary(ctx, work, summary, tree.progress.snapshot(), tree.progress.warnings()...); err != nil {
		return fmt.Errorf("finish summary of %s: %w", work.Key, err)
	}
	s.Log.InfoContext(ctx, "document summarised", "key", work.Key, "version", work.Version,
		"sections", tree.progress.sections.Load(), "reused", tree.progress.reused.Load())
	return nil
}

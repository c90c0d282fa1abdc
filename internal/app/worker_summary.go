package app

import (
	"context"
	"log/slog"

	"github.com/seed-7a112592/gristmill/internal/backend/llm"
	"github.com/seed-7a112592/gristmill/internal/pipeline/reindex"
	"github.com/seed-7a112592/gristmill/internal/pipeline/summary"
	"github.com/seed-7a112592/gristmill/internal/provider"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// RunWorkerSummary is the program cmd/worker-summary. It summarises documents.
func RunWorkerSummary(ctx context.Context, config Config, log *slog.Logger) error {
	return run(ctx, config, log, workerHealth, RecoverLostTasks, ProcessSummaryTasks)
}

// ProcessSummaryTasks runs summary tasks from the queue until ctx ends.
func ProcessSummaryTasks(ctx context.Context, config Config, b *Backends) error {
	step, err := summaryStep(config, b)
	if err != nil {
		return err
	}
	return runTasks(ctx, config, b, task.KindSummary, config.WorkerConcurrency, step)
}

// summaryStep returns the step that summarises documents. Extractive summaries cost no requests, so
// their sections are not batched.
func summaryStep(config Config, b *Backends) (*summary.Step, error) {
	model, batch := config.SummaryModel, config.SummaryBatchTokens
	if model == "" || model == llm.ExtractiveModel {
		model, batch = llm.ExtractiveModel, 0
	}
	return summary.NewStep(summary.Config{
		Objects:      b.Objects,
		Store:        b.Store,
		Summariser:   summariser{b.TaskModels, model},
		Progress:     b.Progress,
		Metrics:      b.Metrics,
		Log:          b.Log,
		WriteBreaker: b.WriteBreaker,
		Extract: func(ctx context.Context, heading string, texts []string) (string, error) {
			return llm.Models{}.Summarise(ctx, llm.ExtractiveModel, heading, texts)
		},
		ParallelRequests:   config.SummaryConcurrency,
		BatchTokens:        batch,
		DefaultSummaryMode: document.SummaryMode(config.Summaries),
	})
}

// summaryEstimates returns the estimator of the cost of summaries, nil if they are extractive.
func summaryEstimates(config Config, b *Backends) (reindex.SummaryEstimator, error) {
	step, err := summaryStep(config, b)
	if err != nil || step.Summariser.Model() == llm.ExtractiveModel {
		return nil, err
	}
	return step, nil
}

// summariser summarises with one model.
type summariser struct {
	models llm.Models
	model  string
}

func (s summariser) Summarise(ctx context.Context, heading string, texts []string) (string, error) {
	return s.models.Summarise(ctx, s.model, heading, texts)
}

func (s summariser) SummariseSections(ctx context.Context, sections []provider.Section) ([]string, error) {
	return s.models.SummariseSections(ctx, s.model, sections)
}

func (s summariser) Model() string   { return s.model }
func (s summariser) Version() string { return s.model + "/" + llm.PromptVersion }

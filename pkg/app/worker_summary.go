package app

import (
	"context"
	"log/slog"

	"github.com/seed-7a112592/gristmill/pkg/backend/llm"
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/pipeline/reindex"
	"github.com/seed-7a112592/gristmill/pkg/pipeline/summary"
)

// RunWorkerSummary is the program cmd/worker-summary: it summarises documents.
func RunWorkerSummary(ctx context.Context, config Config, log *slog.Logger) error {
	return run(ctx, config, log, health, Recover, WorkSummary)
}

// WorkSummary takes summary tasks until ctx ends.
func WorkSummary(ctx context.Context, config Config, b *Backends) error {
	return work(ctx, config, b, document.Summarise, config.WorkerConcurrency, summaryStep(config, b))
}

// summaryStep returns the step that summarises. Extracts cost nothing, so they
// are made one by one.
func summaryStep(config Config, b *Backends) *summary.Step {
	model, batch := config.SummaryModel, config.SummaryBatchTokens
	if model == "" || model == llm.ExtractiveModel {
		model, batch = llm.ExtractiveModel, 0
	}
	return &summary.Step{
		Objects:    b.Objects,
		Store:      b.Store,
		Summariser: summariser{b.Models, model},
		Live:       b.Live,
		Metrics:    b.Metrics,
		Log:        b.Log,
		Gate:       b.Gate,
		Extract: func(ctx context.Context, heading string, texts []string) (string, error) {
			return llm.Models{}.Summarise(ctx, llm.ExtractiveModel, heading, texts)
		},
		Parallel:    config.SummaryConcurrency,
		BatchTokens: batch,
		Configured:  document.SummaryMode(config.Summaries),
	}
}

// summaryEstimates says what summaries would cost; nil where they are extractive.
func summaryEstimates(config Config, b *Backends) reindex.Summaries {
	step := summaryStep(config, b)
	if step.Summariser.Model() == llm.ExtractiveModel {
		return nil
	}
	return step
}

// summariser is one of the models.
type summariser struct {
	models llm.Models
	model  string
}

func (s summariser) Summarise(ctx context.Context, heading string, texts []string) (string, error) {
	return s.models.Summarise(ctx, s.model, heading, texts)
}

func (s summariser) SummariseSections(ctx context.Context, sections []document.Section) ([]string, error) {
	return s.models.SummariseSections(ctx, s.model, sections)
}

func (s summariser) Model() string   { return s.model }
func (s summariser) Version() string { return s.model + "/" + llm.PromptVersion }

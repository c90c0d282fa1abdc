// Package llm embeds and summarises texts with models: those of a provider that speaks the OpenAI
// protocol, or local ones, which need no provider.
package llm

import (
	"context"
	"strings"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/provider"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Models combines the local models and the providers, and selects by the model's name. The zero
// value has only the local models.
type Models struct {
	Embeddings *OpenAI // nil if no provider is configured
	Chat       *OpenAI // nil if no provider is configured
}

// Embed returns one vector for each text, in order. One call must not exceed one batch of what the
// provider accepts: callers split by count and tokens.
func (m Models) Embed(ctx context.Context, model document.Model, texts []string) ([][]float32, error) {
	switch {
	case model.Name == LocalModel:
		return LocalEmbedder{}.Embed(ctx, model, texts)
	case m.Embeddings == nil:
		return nil, fault.New(fault.Misconfigured,
			"embedding model %q needs a provider and none is configured: set GRISTMILL_OPENAI_BASE_URL and GRISTMILL_OPENAI_API_KEY, or GRISTMILL_EMBEDDING_MODEL=%s",
			model.Name, LocalModel)
	default:
		return m.Embeddings.Embed(ctx, model, texts)
	}
}

// Summarise returns a summary of the texts under a heading, in their language. If there is no text,
// it returns the heading.
func (m Models) Summarise(ctx context.Context, model, heading string, texts []string) (string, error) {
	switch {
	case strings.TrimSpace(strings.Join(texts, "")) == "":
		return strings.TrimSpace(heading), nil
	case model == ExtractiveModel:
		return ExtractiveSummariser{}.Summarise(ctx, model, heading, texts)
	case m.Chat == nil:
		return "", fault.New(fault.Misconfigured,
			"summary model %q needs a provider and none is configured: set GRISTMILL_SUMMARY_BASE_URL and GRISTMILL_SUMMARY_API_KEY (or GRISTMILL_OPENAI_BASE_URL and GRISTMILL_OPENAI_API_KEY), or GRISTMILL_SUMMARY_MODEL=%s",
			model, ExtractiveModel)
	default:
		return m.Chat.Summarise(ctx, model, heading, texts)
	}
}

// SummariseSections returns the summaries of several sections, in order; see
// OpenAI.SummariseSections.
func (m Models) SummariseSections(ctx context.Context, model string, sections []provider.Section) ([]string, error) {
	if m.Chat == nil {
		_, err := m.Summarise(ctx, model, "", []string{provider.ProbeText})
		return nil, err
	}
	return m.Chat.SummariseSections(ctx, model, sections)
}

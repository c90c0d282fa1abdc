// Package llm asks models for embeddings and summaries: those of a provider
// that speaks the OpenAI protocol, or the local ones, which need no provider.
package llm

import (
	"context"
	"strings"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/provider"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Models joins the local models and the providers, and picks by the model's
// name. The zero value knows the local models only.
type Models struct {
	Embeddings *OpenAI // nil: no provider is configured
	Chat       *OpenAI // nil: no provider is configured
}

// Embed returns one vector for each text, in order. One call is at most one
// batch of what the provider takes: callers batch by count and tokens.
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

// Summarise returns a summary of the texts, which stand under the heading, in
// their own language. Where there is nothing but a heading, that is returned.
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

// SummariseSections returns the summaries of several sections, in their order;
// see OpenAI.SummariseSections.
func (m Models) SummariseSections(ctx context.Context, model string, sections []provider.Section) ([]string, error) {
	if m.Chat == nil {
		_, err := m.Summarise(ctx, model, "", []string{provider.ProbeText})
		return nil, err
	}
	return m.Chat.SummariseSections(ctx, model, sections)
}

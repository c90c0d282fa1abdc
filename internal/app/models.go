package app

import (
	"fmt"
	"log/slog"

	"github.com/seed-7a112592/gristmill/internal/backend/llm"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
)

// queriesInFlight bounds the requests for questions that are under way. One
// goes on when who asked has left, so that a provider that hangs for some does
// not keep others from being sent.
const queriesInFlight = 64

// newModels returns the local models and those of the configured providers:
// once for work, and once for questions that people wait for, which do not
// queue behind the work. Both keep to the same pace.
func newModels(config Config, pace llm.RateLimiter, metrics *telemetry.Metrics, log *slog.Logger) (work, questions llm.Models, err error) {
	provider := func(baseURL, key, version string, urgent bool) (*llm.OpenAI, error) {
		concurrency := config.EmbeddingConcurrency
		if urgent {
			concurrency = queriesInFlight
		}
		return llm.NewOpenAI(llm.OpenAIConfig{
			BaseURL:     baseURL,
			APIKey:      key,
			APIVersion:  version,
			Dimensions:  llm.SendDimensions(config.SendDimensions),
			Concurrency: concurrency,
			Timeout:     config.ProviderTimeout,
			Urgent:      urgent,
			RateLimiter: pace,
			Metrics:     metrics,
			Log:         log,
		})
	}
	if config.hasProvider() {
		work.Embeddings, err = provider(config.OpenAIBaseURL, config.OpenAIAPIKey, config.OpenAIAPIVersion, false)
		if err != nil {
			return work, questions, fmt.Errorf("embedding provider: %w", err)
		}
		questions.Embeddings, err = provider(config.OpenAIBaseURL, config.OpenAIAPIKey, config.OpenAIAPIVersion, true)
		if err != nil {
			return work, questions, fmt.Errorf("embedding provider: %w", err)
		}
		work.Chat = work.Embeddings
	}
	if config.SummaryBaseURL != "" || config.SummaryAPIKey != "" {
		work.Chat, err = provider(config.SummaryBaseURL, config.SummaryAPIKey, config.SummaryAPIVersion, false)
		if err != nil {
			return work, questions, fmt.Errorf("summary provider: %w", err)
		}
	}
	return work, questions, nil
}

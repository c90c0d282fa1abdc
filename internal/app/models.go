package app

import (
	"fmt"
	"log/slog"

	"github.com/seed-7a112592/gristmill/internal/backend/llm"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
)

// queriesInFlight is the maximum number of running requests that embed questions. It is high because
// such a request continues after its caller has left: requests to a provider that hangs must not
// keep other questions from being sent.
const queriesInFlight = 64

// newModels returns the local models and the models of the configured providers, twice: for tasks,
// and for requests that a person waits for, which do not queue behind the tasks. Both share the rate
// limiter.
func newModels(config Config, limiter llm.RateLimiter, metrics *telemetry.Metrics, log *slog.Logger) (tasks, queries llm.Models, err error) {
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
			RateLimiter: limiter,
			Metrics:     metrics,
			Log:         log,
		})
	}
	if config.hasProvider() {
		tasks.Embeddings, err = provider(config.OpenAIBaseURL, config.OpenAIAPIKey, config.OpenAIAPIVersion, false)
		if err != nil {
			return tasks, queries, fmt.Errorf("embedding provider: %w", err)
		}
		queries.Embeddings, err = provider(config.OpenAIBaseURL, config.OpenAIAPIKey, config.OpenAIAPIVersion, true)
		if err != nil {
			return tasks, queries, fmt.Errorf("embedding provider: %w", err)
		}
		tasks.Chat = tasks.Embeddings
	}
	if config.SummaryBaseURL != "" || config.SummaryAPIKey != "" {
		tasks.Chat, err = provider(config.SummaryBaseURL, config.SummaryAPIKey, config.SummaryAPIVersion, false)
		if err != nil {
			return tasks, queries, fmt.Errorf("summary provider: %w", err)
		}
	}
	return tasks, queries, nil
}

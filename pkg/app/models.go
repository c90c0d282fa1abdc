package app

import (
	"fmt"
	"log/slog"

	"github.com/seed-7a112592/gristmill/pkg/backend/llm"
	"github.com/seed-7a112592/gristmill/pkg/telemetry"
)

// newModels returns the local models and those of the configured providers.
func newModels(config Config, metrics *telemetry.Metrics, log *slog.Logger) (llm.Models, error) {
	var models llm.Models
	provider := func(baseURL, key string) (*llm.OpenAI, error) {
		return llm.NewOpenAI(llm.OpenAIConfig{
			BaseURL:     baseURL,
			APIKey:      key,
			Concurrency: config.EmbeddingConcurrency,
			Log:         log,
			Observe:     metrics.ObserveCall,
		})
	}
	if config.hasProvider() {
		embeddings, err := provider(config.OpenAIBaseURL, config.OpenAIAPIKey)
		if err != nil {
			return models, fmt.Errorf("embedding provider: %w", err)
		}
		models.Embeddings, models.Chat = embeddings, embeddings
	}
	if config.SummaryBaseURL != "" || config.SummaryAPIKey != "" {
		chat, err := provider(config.SummaryBaseURL, config.SummaryAPIKey)
		if err != nil {
			return models, fmt.Errorf("summary provider: %w", err)
		}
		models.Chat = chat
	}
	return models, nil
}

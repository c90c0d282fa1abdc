package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
	"github.com/seed-7a112592/gristmill/internal/provider"
)

// Doctor checks every server and setting that a process depends on, prints the state of each part,
// and reports whether all checks passed.
func Doctor(ctx context.Context, config Config, log *slog.Logger, out io.Writer) (passed bool, err error) {
	backends, err := connect(ctx, config, log)
	if err != nil {
		return false, err
	}
	defer backends.Close()
	passed = true
	report := func(part, detail string, err error) {
		mark := "✓"
		if err != nil {
			mark, detail, passed = "✗", err.Error(), false
		}
		fmt.Fprintf(out, "%s %-10s %s\n", mark, part, detail)
	}
	note := func(part, detail string) { fmt.Fprintf(out, "! %-10s %s\n", part, detail) }
	status, err := postgres.ReadStatus(ctx, config.DatabaseURL)
	if err == nil {
		err = status.Problem()
	}
	report("database", fmt.Sprintf("role %s, schema version %d, pgvector %s", status.Role, status.SchemaVersion, status.Pgvector), err)
	if advice := status.PgvectorAdvice(); advice != "" {
		note("pgvector", advice)
	}
	if status.Pooled {
		note("pooler", "GRISTMILL_DATABASE_URL leads through a connection pooler; sessions use GRISTMILL_DATABASE_DIRECT_URL")
	}
	report("sessions", "can hold locks", backends.pingSession(ctx))
	if err := backends.pingIndexer(ctx); config.IndexDatabaseURL == "" {
		note("indexes", err.Error())
	} else {
		report("indexes", "can be built", err)
	}
	report("objects", "bucket "+config.S3Bucket, backends.Objects.Ping(ctx))
	report("redis", "answers", backends.Queue.Ping(ctx))
	// The reason for a hold may have been corrected since.
	if holds, err := backends.RateLimiter.Holds(ctx); err == nil {
		for _, hold := range holds {
			note("held", fmt.Sprintf("model %s: %s; the next request tries it again", hold.Model, hold.Reason))
		}
	}
	backends.RateLimiter.RetryHeldModels(ctx)
	model, err := backends.ConfiguredModel.Model(ctx)
	report("embeddings", fmt.Sprintf("model %s, %d dimensions", model.Name, model.Dimensions), err)
	if config.SummaryModel != "" {
		_, err = backends.TaskModels.Summarise(ctx, config.SummaryModel, "", []string{provider.ProbeText})
		report("summaries", "model "+config.SummaryModel, err)
	}
	mismatches, err := findModelMismatches(ctx, backends.Store, config.defaultModel())
	report("spaces", "models compared", err)
	for _, m := range mismatches.named {
		note("model", m.String())
	}
	if mismatches.unnamed > 0 {
		note("model", fmt.Sprintf("%d more collections are searched with other models", mismatches.unnamed))
	}
	return passed, nil
}

package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
	"github.com/seed-7a112592/gristmill/internal/provider"
)

// Doctor looks at everything that a process stands on, prints the state of
// each part, and reports whether all is well.
func Doctor(ctx context.Context, config Config, log *slog.Logger, out io.Writer) (well bool, err error) {
	backends, err := connect(ctx, config, log)
	if err != nil {
		return false, err
	}
	defer backends.Close()
	well = true
	report := func(part, detail string, err error) {
		mark := "✓"
		if err != nil {
			mark, detail, well = "✗", err.Error(), false
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
		note("pooler", "a connection pooler stands before the database; what needs a session goes by GRISTMILL_DATABASE_DIRECT_URL")
	}
	report("sessions", "can be held", backends.pingSession(ctx))
	if err := backends.pingIndexer(ctx); config.IndexDatabaseURL == "" {
		note("indexes", err.Error())
	} else {
		report("indexes", "can be built", err)
	}
	report("objects", "bucket "+config.S3Bucket, backends.Objects.Ping(ctx))
	report("redis", "answers", backends.Queue.Ping(ctx))
	// What was wrong may be right by now.
	if holds, err := backends.RateLimiter.Holds(ctx); err == nil {
		for _, hold := range holds {
			note("held", fmt.Sprintf("model %s: %s; it is tried again now", hold.Model, hold.Reason))
		}
	}
	backends.RateLimiter.RetryHeldModels(ctx)
	model, err := backends.ConfiguredModel.Model(ctx)
	report("embeddings", fmt.Sprintf("model %s, %d dimensions", model.Name, model.Dimensions), err)
	if config.SummaryModel != "" {
		_, err = backends.TaskModels.Summarise(ctx, config.SummaryModel, "", []string{provider.ProbeText})
		report("summaries", "model "+config.SummaryModel, err)
	}
	others, err := findModelMismatches(ctx, backends.Store, config.defaultModel())
	report("spaces", "read", err)
	for _, other := range others.named {
		note("model", other.String())
	}
	if others.unnamed > 0 {
		note("model", fmt.Sprintf("%d more collections are served with other models", others.unnamed))
	}
	return well, nil
}

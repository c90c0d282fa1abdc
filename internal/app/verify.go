package app

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/seed-7a112592/gristmill/internal/backend/blob"
	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
	"github.com/seed-7a112592/gristmill/internal/pipeline/verify"
)

// Verify verifies the documents in the scope, on the configured servers. It needs neither Redis nor a
// provider.
func Verify(ctx context.Context, config Config, log *slog.Logger, scope verify.Scope, report verify.Observer) (verify.Tally, error) {
	store, err := postgres.Open(ctx, postgres.Config{URL: config.DatabaseURL, DirectURL: config.DirectDatabaseURL, Log: log})
	if err != nil {
		return verify.Tally{}, fmt.Errorf("open the database: %w", err)
	}
	defer store.Close()
	objects, err := blob.NewS3(s3Config(config))
	if err != nil {
		return verify.Tally{}, fmt.Errorf("open the object storage: %w", err)
	}
	if err := objects.Ping(ctx); err != nil { // one error instead of a finding for each document
		return verify.Tally{}, err
	}
	verifier, err := verify.NewVerifier(verify.VerifierConfig{Store: store, Objects: objects, Log: log})
	if err != nil {
		return verify.Tally{}, err
	}
	return verifier.Run(ctx, scope, report)
}

// RequireStorage returns an error for each missing setting that is needed to reach the database and
// the object storage.
func RequireStorage(c Config) []error {
	return checkSet(c, "DATABASE_URL", "S3_ENDPOINT", "S3_ACCESS_KEY", "S3_SECRET_KEY")
}

// Scrub verifies documents slowly, until ctx ends. Any number of processes may call it; one at a time
// verifies.
func Scrub(ctx context.Context, config Config, b *Backends) error {
	if config.VerifyBytesPerSecond == 0 {
		return nil
	}
	verifier, err := verify.NewVerifier(verify.VerifierConfig{
		Store: b.Store, Objects: b.Objects, Log: b.Log, Throttle: verify.BytesPerSecond(config.VerifyBytesPerSecond),
	})
	if err != nil {
		return err
	}
	scrubber, err := verify.NewScrubber(verify.ScrubberConfig{Verifier: verifier, Store: b.Store, Metrics: b.Metrics})
	if err != nil {
		return err
	}
	scrubber.Run(ctx)
	return nil
}

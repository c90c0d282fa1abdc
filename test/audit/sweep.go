package audit

import (
	"context"
	"log/slog"
	"testing"

	"github.com/seed-7a112592/gristmill/pkg/backend/blob"
	"github.com/seed-7a112592/gristmill/pkg/backend/postgres"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
	"github.com/seed-7a112592/gristmill/test/program"
)

// Sweep removes what the programs of a site would remove in time, without
// waiting for the times that they wait.
func Sweep(t testing.TB, s *program.Site) {
	t.Helper()
	ctx := t.Context()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	store, err := postgres.Open(ctx, postgres.Config{URL: s.Database, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	objects, err := blob.NewS3(blob.S3Config(s.S3))
	if err != nil {
		t.Fatal(err)
	}
	tenants, err := store.Tenants(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range tenants {
		if err := sweep(tenant.With(ctx, id), store, objects); err != nil {
			t.Fatalf("sweep: %v", err)
		}
	}
}

func sweep(ctx context.Context, store *postgres.Store, objects *blob.S3) error {
	const batch = 1000
	for {
		remains, err := store.Remains(ctx, 0, batch)
		if err != nil {
			return err
		}
		for _, r := range remains {
			if r.Object != "" {
				if err := objects.Delete(ctx, r.Object); err != nil {
					return err
				}
			}
			if err := store.Forget(ctx, r); err != nil {
				return err
			}
		}
		if len(remains) < batch {
			break
		}
	}
	for {
		dropped, err := store.DropOrphans(ctx, 0, batch)
		if err != nil || dropped < batch {
			return err
		}
	}
}

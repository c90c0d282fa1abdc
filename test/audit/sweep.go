package audit

import (
	"log/slog"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/app"
	"github.com/seed-7a112592/gristmill/pkg/backend/blob"
	"github.com/seed-7a112592/gristmill/pkg/backend/postgres"
	"github.com/seed-7a112592/gristmill/pkg/pipeline/sweep"
	"github.com/seed-7a112592/gristmill/pkg/telemetry"
	"github.com/seed-7a112592/gristmill/test/await"
	"github.com/seed-7a112592/gristmill/test/program"
)

// leftOver counts what a sweep removes.
const leftOver = `
	SELECT (SELECT count(*) FROM uploads)
	     + (SELECT count(*) FROM garbage)
	     + (SELECT count(*) FROM spaces WHERE drop_after IS NOT NULL)
	     + (SELECT count(*) FROM documents WHERE deleted_at IS NOT NULL)
	     + (SELECT count(*) FROM versions v JOIN documents d ON d.id = v.document
	        WHERE v.version <> d.newest_version AND v.version IS DISTINCT FROM d.live_version)
	     + (SELECT count(*) FROM ` + program.Passages + ` p WHERE NOT EXISTS (SELECT FROM manifest m WHERE m.space = p.space AND m.hash = p.hash))`

// Sweep sweeps a site as if much time had passed, until nothing is left over:
// the programs' own sweeps may be in the way, since one sweeps at a time.
func Sweep(t testing.TB, s *program.Site) {
	t.Helper()
	log := logOf(t)
	config, err := app.Load(s.Env(), app.Servers)
	if err != nil {
		t.Fatal(err)
	}
	store, err := postgres.Open(t.Context(), postgres.Config{URL: s.Database, DirectURL: config.DirectDatabaseURL, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	objects, err := blob.NewS3(blob.S3Config(s.S3))
	if err != nil {
		t.Fatal(err)
	}
	collector := sweep.Collector{
		Store: store, Objects: objects, Metrics: telemetry.NewMetrics(), Log: log, Ahead: 365 * 24 * time.Hour,
	}
	await.Within(t, time.Minute, "nothing is left over for the sweep", func() bool {
		if err := collector.Collect(t.Context()); err != nil {
			t.Logf("collect garbage: %v", err)
		}
		return s.Count(leftOver) == 0
	})
}

func logOf(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

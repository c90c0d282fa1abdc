package audit

import (
	"log/slog"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/app"
	"github.com/seed-7a112592/gristmill/internal/backend/blob"
	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
	"github.com/seed-7a112592/gristmill/internal/pipeline/sweep"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/program"
)

// garbageQuery counts the rows that a sweep removes.
const garbageQuery = `
	SELECT (SELECT count(*) FROM uploads)
	     + (SELECT count(*) FROM garbage)
	     + (SELECT count(*) FROM spaces WHERE drop_after IS NOT NULL)
	     + (SELECT count(*) FROM documents WHERE deleted_at IS NOT NULL)
	     + (SELECT count(*) FROM versions v JOIN documents d ON d.id = v.document
	        WHERE v.version <> d.newest_version AND v.version IS DISTINCT FROM d.published_version)
	     + (SELECT count(*) FROM ` + program.AllPassagesSQL + ` p WHERE NOT EXISTS (SELECT FROM manifest m WHERE m.space = p.space AND m.hash = p.hash))`

// CollectGarbage collects the garbage of an installation as if one year had passed, until none is
// left. It retries, because only one sweep runs at a time and the programs' own sweeps may hold the
// lock.
func CollectGarbage(t testing.TB, s *program.Installation) {
	t.Helper()
	log := testLogger(t)
	config, err := app.Load(s.Env(), app.RequireServers)
	if err != nil {
		t.Fatal(err)
	}
	store, err := postgres.Open(t.Context(), postgres.Config{URL: s.AppURL, DirectURL: config.DirectDatabaseURL, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	objects, err := blob.NewS3(blob.S3Config(s.S3))
	if err != nil {
		t.Fatal(err)
	}
	collector, err := sweep.NewGarbageCollector(sweep.GarbageCollectorConfig{
		Store: store, Objects: objects, Metrics: telemetry.NewMetrics(), Log: log, Grace: time.Nanosecond, Ahead: 365 * 24 * time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	await.Within(t, time.Minute, "the sweep has removed all garbage", func() bool {
		if err := collector.CollectGarbage(t.Context()); err != nil {
			t.Logf("collect garbage: %v", err)
		}
		return s.QueryInt(garbageQuery) == 0
	})
}

func testLogger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}

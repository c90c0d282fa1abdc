package app_test

import (
	"log/slog"
	"net/http/httptest"
	"testing"

	"github.com/seed-7a112592/gristmill/pkg/app"
	"github.com/seed-7a112592/gristmill/pkg/backend/blob"
	"github.com/seed-7a112592/gristmill/pkg/backend/postgres"
	"github.com/seed-7a112592/gristmill/test/database"
	"github.com/seed-7a112592/gristmill/test/services"
)

// site is the HTTP API in this process, on real servers.
type site struct {
	*httptest.Server
	store   *postgres.Store
	objects *blob.S3
}

// newSite starts the API in an environment that has the addresses of new
// databases and a bucket, unless more says otherwise.
func newSite(t *testing.T, more ...string) *site {
	t.Helper()
	s3 := services.S3(t)
	config, err := app.Load(append([]string{
		"GRISTMILL_DATABASE_URL=" + database.New(t).App,
		"GRISTMILL_REDIS_URL=" + services.Redis(t),
		"GRISTMILL_S3_ENDPOINT=" + s3.Endpoint,
		"GRISTMILL_S3_ACCESS_KEY=" + s3.AccessKey,
		"GRISTMILL_S3_SECRET_KEY=" + s3.SecretKey,
		"GRISTMILL_S3_BUCKET=" + s3.Bucket,
	}, more...))
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	s := &site{}
	if s.store, err = postgres.Open(t.Context(), postgres.Config{URL: config.DatabaseURL, MaxCollections: config.MaxCollections, Log: log}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.store.Close)
	if s.objects, err = blob.NewS3(blob.S3Config{
		Endpoint: config.S3Endpoint, AccessKey: config.S3AccessKey, SecretKey: config.S3SecretKey,
		Bucket: config.S3Bucket, Region: config.S3Region,
	}); err != nil {
		t.Fatal(err)
	}
	backends, err := app.Join(config, s.store, s.objects, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(backends.Close)
	s.Server = httptest.NewServer(app.API(t.Context(), config, backends))
	t.Cleanup(s.Server.Close)
	return s
}

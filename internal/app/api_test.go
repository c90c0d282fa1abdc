package app_test

import (
	"log/slog"
	"net/http/httptest"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/app"
	"github.com/seed-7a112592/gristmill/internal/backend/blob"
	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
	"github.com/seed-7a112592/gristmill/internal/test/database"
	"github.com/seed-7a112592/gristmill/internal/test/services"
)

// testAPI is the HTTP API in this process, on real servers.
type testAPI struct {
	*httptest.Server
	store   *postgres.Store
	objects *blob.S3
}

// newTestAPI starts the API with a new database and bucket. more adds settings, and replaces the
// addresses.
func newTestAPI(t *testing.T, more ...string) *testAPI {
	t.Helper()
	s3 := services.S3(t)
	config, err := app.Load(append([]string{
		"GRISTMILL_DATABASE_URL=" + database.New(t).AppURL,
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
	s := &testAPI{}
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
	backends, err := app.NewBackends(config, s.store, s.objects, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(backends.Close)
	api, err := app.API(t.Context(), config, backends)
	if err != nil {
		t.Fatal(err)
	}
	s.Server = httptest.NewServer(api)
	t.Cleanup(s.Server.Close)
	return s
}

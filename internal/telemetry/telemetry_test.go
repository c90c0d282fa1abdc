package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/telemetry"
)

func TestLoggerCarriesContextAttributes(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, err := telemetry.NewLogger(&out, "json", "info")
	if err != nil {
		t.Fatal(err)
	}
	parent := telemetry.WithTenant(t.Context(), "default")
	one := telemetry.WithLogAttrs(parent, slog.String("job", "1"))
	_ = telemetry.WithLogAttrs(parent, slog.String("job", "2"))
	log.With("step", "knowledge").InfoContext(one, "started")
	log.DebugContext(one, "below the level")

	var record map[string]any
	if err := json.Unmarshal(out.Bytes(), &record); err != nil {
		t.Fatalf("want exactly one JSON record, have %q: %v", out.String(), err)
	}
	for key, want := range map[string]string{"msg": "started", "tenant": "default", "job": "1", "step": "knowledge"} {
		if record[key] != want {
			t.Errorf("%s = %v, want %q", key, record[key], want)
		}
	}
}

func TestNewLoggerRejectsUnknownSettings(t *testing.T) {
	t.Parallel()
	if _, err := telemetry.NewLogger(&bytes.Buffer{}, "xml", "info"); err == nil {
		t.Error("format xml was accepted")
	}
	if _, err := telemetry.NewLogger(&bytes.Buffer{}, "json", "loud"); err == nil {
		t.Error("level loud was accepted")
	}
}

func TestReadyzNamesFailingChecks(t *testing.T) {
	t.Parallel()
	up := telemetry.Check{Test: func(context.Context) error { return nil }}
	down := telemetry.Check{Test: func(context.Context) error { return errors.New("10.1.2.3: connection refused") }}
	optional := telemetry.Check{Test: down.Test, Optional: true}
	for name, test := range map[string]struct {
		checks map[string]telemetry.Check
		asks   string // query of the request; the query "trusted" makes it trusted
		status int
		body   string
	}{
		"all pass": {map[string]telemetry.Check{"database": up, "redis": up}, "", 200,
			`{"status":"ready","checks":{"database":"ok","redis":"ok"}}`},
		"one fails": {map[string]telemetry.Check{"database": up, "redis": down}, "", 503,
			`{"status":"not ready","checks":{"database":"ok","redis":"failing"}}`},
		"one fails, trusted request": {map[string]telemetry.Check{"database": up, "redis": down}, "trusted", 503,
			`{"status":"not ready","checks":{"database":"ok","redis":"10.1.2.3: connection refused"}}`},
		"an optional one fails": {map[string]telemetry.Check{"database": up, "redis": optional}, "", 200,
			`{"status":"ready","degraded":["redis"],"checks":{"database":"ok","redis":"failing"}}`},
		"an optional and a required one fail": {map[string]telemetry.Check{"database": down, "redis": optional}, "", 503,
			`{"status":"not ready","degraded":["redis"],"checks":{"database":"failing","redis":"failing"}}`},
	} {
		health := newHealthHandler(t, telemetry.HealthConfig{
			Metrics: telemetry.NewMetrics(), Checks: test.checks, Trusted: func(r *http.Request) bool { return r.URL.RawQuery == "trusted" },
		})
		answer := httptest.NewRecorder()
		health.ServeHTTP(answer, httptest.NewRequest("GET", "/readyz?"+test.asks, nil))
		if got := strings.TrimSpace(answer.Body.String()); answer.Code != test.status || got != test.body {
			t.Errorf("%s: %d %s, want %d %s", name, answer.Code, got, test.status, test.body)
		}
	}

	health := newHealthHandler(t, telemetry.HealthConfig{Metrics: telemetry.NewMetrics(), Checks: map[string]telemetry.Check{"database": down}})
	untrusted := httptest.NewRecorder()
	health.ServeHTTP(untrusted, httptest.NewRequest("GET", "/readyz", nil))
	if strings.Contains(untrusted.Body.String(), "10.1.2.3") {
		t.Errorf("without Trusted, /readyz says %s", untrusted.Body)
	}
	alive := httptest.NewRecorder()
	health.ServeHTTP(alive, httptest.NewRequest("GET", "/healthz", nil))
	if alive.Code != 200 {
		t.Errorf("healthz = %d while a dependency is down, want 200", alive.Code)
	}
}

func newHealthHandler(t *testing.T, config telemetry.HealthConfig) http.Handler {
	t.Helper()
	h, err := telemetry.NewHealthHandler(config)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// NewHealthHandler returns an error for a check without a Test.
func TestHealthChecksAreComplete(t *testing.T) {
	t.Parallel()
	_, err := telemetry.NewHealthHandler(telemetry.HealthConfig{Metrics: telemetry.NewMetrics(), Checks: map[string]telemetry.Check{"sessions": {}}})
	if err == nil || err.Error() != `check "sessions": telemetry.Check: missing Test` {
		t.Errorf("got %v", err)
	}
}

func TestMetricsAreServed(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics()
	m.ObserveRequest("/v1/search", "POST", 200, time.Second)
	m.ObserveTask("knowledge", "done")
	m.ObserveStage("embed", time.Now())
	m.ObserveProviderCall("embed", "local", "ok", 42, time.Millisecond)
	m.ObservePassages(3, 1)
	m.ObserveDelivery("delivered")
	m.RegisterQueues(func(context.Context) ([]telemetry.QueueDepth, error) {
		return []telemetry.QueueDepth{{Queue: "knowledge", Tasks: 7, OldestAge: 3 * time.Second}}, nil
	})
	answer := httptest.NewRecorder()
	newHealthHandler(t, telemetry.HealthConfig{Metrics: m}).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`gristmill_http_requests_total{method="POST",route="/v1/search",status="200"} 1`,
		`gristmill_tasks_total{kind="knowledge",outcome="done"} 1`,
		`gristmill_stage_seconds_count{stage="embed"} 1`,
		`gristmill_provider_tokens_total{model="local",operation="embed"} 42`,
		`gristmill_passages_total{how="reused"} 1`,
		`gristmill_webhook_deliveries_total{outcome="delivered"} 1`,
		`gristmill_queue_tasks{queue="knowledge"} 7`,
		`gristmill_queue_age_seconds{queue="knowledge"} 3`,
	} {
		if !strings.Contains(answer.Body.String(), want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

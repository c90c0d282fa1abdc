package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/telemetry"
)

func TestLoggerCarriesContextAttributes(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, err := telemetry.NewLogger(&out, "json", "info")
	if err != nil {
		t.Fatal(err)
	}
	parent := telemetry.With(t.Context(), slog.String("tenant", "default"))
	one := telemetry.With(parent, slog.String("job", "1"))
	_ = telemetry.With(parent, slog.String("job", "2"))
	log.With("step", "knowledge").InfoContext(one, "begun")
	log.DebugContext(one, "too quiet to be seen")

	var record map[string]any
	if err := json.Unmarshal(out.Bytes(), &record); err != nil {
		t.Fatalf("want exactly one JSON record, have %q: %v", out.String(), err)
	}
	for key, want := range map[string]string{"msg": "begun", "tenant": "default", "job": "1", "step": "knowledge"} {
		if record[key] != want {
			t.Errorf("%s = %v, want %q", key, record[key], want)
		}
	}
}

func TestLoggerRefusesUnknownSettings(t *testing.T) {
	t.Parallel()
	if _, err := telemetry.NewLogger(&bytes.Buffer{}, "xml", "info"); err == nil {
		t.Error("format xml was taken")
	}
	if _, err := telemetry.NewLogger(&bytes.Buffer{}, "json", "loud"); err == nil {
		t.Error("level loud was taken")
	}
}

func TestReadyNamesTheDependencyThatIsDown(t *testing.T) {
	t.Parallel()
	health := telemetry.NewHealth(telemetry.NewMetrics(), map[string]telemetry.Check{
		"database": func(context.Context) error { return nil },
		"redis":    func(context.Context) error { return errors.New("connection refused") },
	})
	answer := httptest.NewRecorder()
	health.ServeHTTP(answer, httptest.NewRequest("GET", "/readyz", nil))
	if answer.Code != 503 {
		t.Errorf("status %d, want 503", answer.Code)
	}
	var body struct{ Checks map[string]string }
	if err := json.Unmarshal(answer.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	if body.Checks["database"] != "ok" || body.Checks["redis"] != "connection refused" {
		t.Errorf("checks = %v", body.Checks)
	}

	alive := httptest.NewRecorder()
	health.ServeHTTP(alive, httptest.NewRequest("GET", "/healthz", nil))
	if alive.Code != 200 {
		t.Errorf("healthz = %d while a dependency is down, want 200", alive.Code)
	}
}

func TestMetricsAreServed(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics()
	m.ObserveRequest("/v1/search", "POST", 200, time.Second)
	m.ObserveTask("knowledge", "done")
	m.ObserveStage("embed", time.Now())
	m.ObserveCall("embed", "local", "ok", 42, time.Millisecond)
	m.ObservePassages(3, 1)
	m.ObserveDelivery("delivered")
	m.WatchQueues(func(context.Context) ([]telemetry.QueueDepth, error) {
		return []telemetry.QueueDepth{{Queue: "knowledge", Tasks: 7, Age: 3 * time.Second}}, nil
	})
	answer := httptest.NewRecorder()
	telemetry.NewHealth(m, nil).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
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

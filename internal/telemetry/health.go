package telemetry

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/seed-7a112592/gristmill/internal/goroutine"
	"github.com/seed-7a112592/gristmill/internal/required"
)

// Check tests one dependency.
type Check struct {
	// Test returns an error if the dependency cannot be used. Its text is written for people.
	Test func(ctx context.Context) error

	// Optional says that the process works without the dependency, with reduced service. While the
	// check fails, the process is ready and degraded.
	Optional bool `zero:"ok"`
}

// checkTimeout bounds one check, so that /readyz answers even if a dependency hangs.
const checkTimeout = 2 * time.Second

// HealthConfig is what the health of a process consists of.
type HealthConfig struct {
	Metrics *Metrics
	Checks  map[string]Check `zero:"ok"`

	// Trusted reports whether a request may read why a check fails. The reason names hosts and
	// buckets, so other requests read only that the check fails. If Trusted is nil, no request is
	// trusted.
	Trusted func(*http.Request) bool `zero:"ok"`
}

// health serves the health and the metrics of a process.
type health struct{ HealthConfig }

// NewHealthHandler returns a handler that answers GET /healthz (200 while the process is alive),
// /readyz (200 if all required checks pass, else 503, with the state of each check) and /metrics.
// It returns an error that names what config lacks.
func NewHealthHandler(config HealthConfig) (http.Handler, error) {
	if err := required.Fields(config); err != nil {
		return nil, err
	}
	for name, check := range config.Checks {
		if err := required.Fields(check); err != nil {
			return nil, fmt.Errorf("check %q: %w", name, err)
		}
	}
	h := health{config}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		answer, ready := h.describeReadiness(runChecks(r.Context(), h.Checks), h.Trusted != nil && h.Trusted(r))
		status := http.StatusOK
		if !ready {
			status = http.StatusServiceUnavailable
		}
		writeJSON(w, status, answer)
	})
	mux.Handle("GET /metrics", h.Metrics.Handler())
	return mux, nil
}

// readiness is the body of /readyz.
type readiness struct {
	Status   string            `json:"status"`             // "ready" or "not ready"
	Degraded []string          `json:"degraded,omitempty"` // optional checks that fail
	Checks   map[string]string `json:"checks"`             // "ok", "failing", or the reason of the failure
}

// describeReadiness returns the body of /readyz, and whether all required checks pass.
func (h health) describeReadiness(failures map[string]error, trusted bool) (answer readiness, ready bool) {
	answer = readiness{Status: "ready", Checks: make(map[string]string, len(h.Checks))}
	ready = true
	for name, check := range h.Checks {
		err := failures[name]
		switch {
		case err == nil:
			answer.Checks[name] = "ok"
			continue
		case trusted:
			answer.Checks[name] = err.Error()
		default:
			answer.Checks[name] = "failing"
		}
		if check.Optional {
			answer.Degraded = append(answer.Degraded, name)
		} else {
			answer.Status, ready = "not ready", false
		}
	}
	slices.Sort(answer.Degraded)
	return answer, ready
}

// runChecks runs all checks concurrently and returns the errors of those that fail, by name.
func runChecks(ctx context.Context, checks map[string]Check) map[string]error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	var (
		mu       sync.Mutex
		group    = goroutine.NewGroup()
		failures = map[string]error{}
	)
	for name, check := range checks {
		group.Go(func() error {
			if err := goroutine.Try(func() error { return check.Test(ctx) }); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failures[name] = err
			}
			return nil
		})
	}
	_ = group.Wait() // errors are in failures
	return failures
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // an error means that the client has disconnected
}

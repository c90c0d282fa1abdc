package telemetry

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/seed-7a112592/gristmill/internal/goroutine"
)

// Check looks at one dependency.
type Check struct {
	// Test returns why the dependency cannot be used; its text is for people.
	Test func(ctx context.Context) error

	// Optional says that the process does its work without the dependency, only
	// less well. While it fails the process is ready, and degraded.
	Optional bool
}

// checkTimeout bounds one check, so that /readyz answers while a dependency
// hangs.
const checkTimeout = 2 * time.Second

// Health is what a process tells of itself.
type Health struct {
	Metrics *Metrics
	Checks  map[string]Check

	// Trusted reports whether a request may read why a check fails: that names
	// hosts and buckets. All others read only that it does. Nil trusts nobody.
	Trusted func(*http.Request) bool
}

// Handler answers GET /healthz (the process is alive), /readyz (200 when every
// check passes that is not optional, else 503, and the state of each) and
// /metrics.
func (h Health) Handler() *http.ServeMux {
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
	return mux
}

// readiness is the body of /readyz.
type readiness struct {
	Status   string            `json:"status"`             // "ready" or "not ready"
	Degraded []string          `json:"degraded,omitempty"` // optional checks that fail
	Checks   map[string]string `json:"checks"`             // "ok", "failing", or why it fails
}

// describeReadiness describes the outcome of the checks.
func (h Health) describeReadiness(failures map[string]error, trusted bool) (answer readiness, ready bool) {
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

// runChecks runs all checks at once and returns what those that fail say.
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
	_ = group.Wait() // they are in failures
	return failures
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client has gone; nobody is left to tell
}

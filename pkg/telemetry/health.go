package telemetry

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// Check reports whether a dependency can be used; its error is for people.
type Check func(ctx context.Context) error

// checkTimeout bounds one check, so that /readyz answers while a dependency
// hangs.
const checkTimeout = 2 * time.Second

// NewHealth returns a handler of GET /healthz (the process is alive), /readyz
// (200 when every check passes, else 503, and the state of each) and /metrics.
func NewHealth(m *Metrics, checks map[string]Check) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		states, ready := runChecks(r.Context(), checks)
		if ready {
			writeJSON(w, http.StatusOK, readiness{"ready", states})
			return
		}
		writeJSON(w, http.StatusServiceUnavailable, readiness{"not ready", states})
	})
	mux.Handle("GET /metrics", m.Handler())
	return mux
}

type readiness struct {
	Status string            `json:"status"`
	Checks map[string]string `json:"checks"` // "ok", or what is wrong
}

// runChecks runs all checks at once and returns the state of each.
func runChecks(ctx context.Context, checks map[string]Check) (map[string]string, bool) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	var (
		mu     sync.Mutex
		wg     sync.WaitGroup
		ready  = true
		states = make(map[string]string, len(checks))
	)
	for name, check := range checks {
		wg.Go(func() {
			err := check(ctx)
			mu.Lock()
			defer mu.Unlock()
			states[name] = "ok"
			if err != nil {
				states[name], ready = err.Error(), false
			}
		})
	}
	wg.Wait()
	return states, ready
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client has gone; nobody is left to tell
}

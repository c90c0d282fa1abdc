package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// ServeHTTP gives the request an id, answers it, and logs it.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	id := requestID(r)
	ctx := telemetry.WithLogAttrs(context.WithValue(r.Context(), requestIDKey{}, id), slog.String("request_id", id))
	body := newRequestBody(r, w, s.BodyTimeout)
	r = r.WithContext(ctx)
	r.Body = body

	_, pattern := s.mux.Handler(r)
	a := &responseRecorder{ResponseWriter: w}
	a.Header().Set("X-Request-Id", id)
	a.Header().Set("X-Content-Type-Options", "nosniff")
	a.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
	defer func() {
		s.recordRequest(r, a, pattern, time.Since(start))
		if a.aborted {
			panic(http.ErrAbortHandler) // the client must not mistake a partial response for a complete one
		}
	}()
	defer body.linger(a)
	defer s.recoverPanic(a, r)
	s.checkAndRoute(a, r, pattern)
}

// checkAndRoute checks the origin, the key and the query, and then calls the route.
func (s *server) checkAndRoute(a *responseRecorder, r *http.Request, pattern string) {
	if err := s.checkOrigin(r); err != nil {
		s.writeError(a, r, err)
		return
	}
	if !isPublic(pattern) {
		id, err := s.authenticate.tenant(r)
		if err != nil {
			s.writeError(a, r, err)
			return
		}
		// The change in place also applies to the access log; r is ServeHTTP's own copy.
		*r = *r.WithContext(telemetry.WithTenant(r.Context(), id))
	}
	if err := checkQuery(r.URL); err != nil {
		s.writeError(a, r, err)
		return
	}
	if pattern == "" {
		s.serveUnmatched(a, r)
		return
	}
	s.mux.ServeHTTP(a, r)
}

// serveUnmatched answers a request that matches no route, with the status of the mux and a problem as
// the body.
func (s *server) serveUnmatched(a *responseRecorder, r *http.Request) {
	intercepted := &errorInterceptor{ResponseWriter: a}
	s.mux.ServeHTTP(intercepted, r)
	switch intercepted.status {
	case 0: // a redirect to the clean path, already written
	case http.StatusMethodNotAllowed:
		p := newProblem(r.Context(), intercepted.status, fault.BadRequest,
			r.URL.Path+" does not have the method "+r.Method+"; it has "+a.Header().Get("Allow"))
		writeProblem(a, r, p)
	default:
		s.writeError(a, r, fault.New(fault.NotFound, "the path %s does not exist", r.URL.Path))
	}
}

// recoverPanic turns a panic into an internal error, which is logged; the client sees no details.
func (s *server) recoverPanic(a *responseRecorder, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if v != http.ErrAbortHandler {
		s.Log.ErrorContext(r.Context(), "request panicked", "panic", v, "stack", string(debug.Stack()))
	}
	if a.status != 0 {
		a.aborted = true
		return
	}
	writeProblem(a, r, internalProblem(r.Context()))
}

// recordRequest logs and counts the request.
func (s *server) recordRequest(r *http.Request, a *responseRecorder, pattern string, d time.Duration) {
	method, route := knownMethod(r.Method), "unmatched"
	if pattern != "" {
		_, route, _ = strings.Cut(pattern, " ")
	}
	status := a.status
	if status == 0 {
		status = http.StatusOK // net/http writes it if the handler wrote nothing
	}
	s.Metrics.ObserveRequest(route, method, status, d)

	level := slog.LevelInfo
	if healthPatterns[pattern] {
		level = slog.LevelDebug
	}
	s.Log.Log(r.Context(), level, "request",
		"method", r.Method, "path", r.URL.Path, "route", route, "status", status,
		"bytes", a.bytes, "ms", d.Milliseconds(), "remote", r.RemoteAddr)
}

// knownMethod returns the method for the label of a metric, which must have few values.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	default:
		return "other"
	}
}

type requestIDKey struct{}

var validRequestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

// requestID returns the client's id if it is safe in logs and headers, and else a new one.
func requestID(r *http.Request) string {
	if id := r.Header.Get("X-Request-Id"); validRequestID.MatchString(id) {
		return id
	}
	return uuid.Must(uuid.NewV7()).String()
}

// checkQuery refuses a query with text that is not valid in any parameter, before it reaches a
// database, whose error would be less clear. It also refuses a parameter that is given twice: no
// parameter is a list, so one of the values would be ignored.
func checkQuery(u *url.URL) error {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return fault.Wrap(fault.BadRequest, err, "invalid query string: %v", err)
	}
	for name, all := range values {
		if len(all) > 1 {
			return fault.New(fault.BadRequest, "query parameter %q is given %d times; give it once", name, len(all))
		}
		for _, value := range append(all, name) {
			if err := document.CheckText(value); err != nil {
				return fault.Wrap(fault.BadRequest, err, "query parameter %q %v", name, err)
			}
		}
	}
	return nil
}

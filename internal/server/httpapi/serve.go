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

// ServeHTTP gives the request its id, answers it, and writes it down.
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
			panic(http.ErrAbortHandler) // the client must not take half an answer for a whole one
		}
	}()
	defer body.linger(a)
	defer s.recoverPanic(a, r)
	s.checkAndRoute(a, r, pattern)
}

// checkAndRoute checks who asks and what, then hands over to the route.
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
		// In place, for the access log to have it too; r is ServeHTTP's copy.
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

// serveUnmatched answers a request that no route matches as the mux would, with a
// problem for a body.
func (s *server) serveUnmatched(a *responseRecorder, r *http.Request) {
	refusal := &errorInterceptor{ResponseWriter: a}
	s.mux.ServeHTTP(refusal, r)
	switch refusal.status {
	case 0: // a redirect to the clean path, already written
	case http.StatusMethodNotAllowed:
		p := newProblem(r.Context(), refusal.status, fault.BadRequest,
			r.URL.Path+" does not answer to "+r.Method+", but to "+a.Header().Get("Allow"))
		writeProblem(a, r, p)
	default:
		s.writeError(a, r, fault.New(fault.NotFound, "there is nothing at %s", r.URL.Path))
	}
}

// recoverPanic turns a panic into an internal error that is logged and not shown.
func (s *server) recoverPanic(a *responseRecorder, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if v != http.ErrAbortHandler {
		s.Log.ErrorContext(r.Context(), "panic while answering", "panic", v, "stack", string(debug.Stack()))
	}
	if a.status != 0 {
		a.aborted = true
		return
	}
	writeProblem(a, r, internalProblem(r.Context()))
}

// recordRequest writes the access log's line and counts the request.
func (s *server) recordRequest(r *http.Request, a *responseRecorder, pattern string, d time.Duration) {
	method, route := knownMethod(r.Method), "unmatched"
	if pattern != "" {
		_, route, _ = strings.Cut(pattern, " ")
	}
	status := a.status
	if status == 0 {
		status = http.StatusOK // what net/http writes for a handler that wrote nothing
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

// knownMethod keeps the values of a metric's label few.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	default:
		return "other"
	}
}

type requestIDKey struct{}

var saneRequestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

// requestID takes over the client's id if it can be repeated in logs and
// headers, and else makes one.
func requestID(r *http.Request) string {
	if id := r.Header.Get("X-Request-Id"); saneRequestID.MatchString(id) {
		return id
	}
	return uuid.Must(uuid.NewV7()).String()
}

// checkQuery refuses what no text of ours may contain, before it gets to a
// database that would answer with an error of its own, and a parameter that is
// given twice: none of ours is a list, so one of the values would be ignored.
func checkQuery(u *url.URL) error {
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return fault.Wrap(fault.BadRequest, err, "unreadable query string: %v", err)
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

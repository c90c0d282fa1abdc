package httpapi_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/server/httpapi"
)

// wantProblem checks that the response is a complete problem with that status and code, and that its
// detail contains the given text.
func wantProblem(t *testing.T, w *httptest.ResponseRecorder, status int, code, detail string) httpapi.Problem {
	t.Helper()
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %q, want application/problem+json; body %q", got, w.Body)
	}
	p := decode[httpapi.Problem](t, w)
	if w.Code != status || p.Status != status || string(p.Code) != code || !strings.Contains(p.Detail, detail) {
		t.Errorf("got %d %+v, want %d %s with %q in its detail", w.Code, p, status, code, detail)
	}
	if p.Type != "about:blank" || p.Title != http.StatusText(status) || p.Detail == "" || p.RequestID == "" || p.RequestID != w.Header().Get("X-Request-Id") {
		t.Errorf("got problem %+v, X-Request-Id %q; want type, title, detail and request_id", p, w.Header().Get("X-Request-Id"))
	}
	return p
}

func TestFaultsBecomeProblems(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err        error
		status     int
		code       string
		detail     string
		retryAfter string
	}{
		"bad request":      {fault.New(fault.BadRequest, "why"), 400, "bad_request", "why", ""},
		"unauthenticated":  {fault.New(fault.Unauthenticated, "why"), 401, "unauthenticated", "why", ""},
		"forbidden":        {fault.New(fault.Forbidden, "why"), 403, "forbidden", "why", ""},
		"not found":        {fault.New(fault.NotFound, "why"), 404, "not_found", "why", ""},
		"conflict":         {fault.New(fault.Conflict, "why"), 409, "conflict", "why", ""},
		"too large":        {fault.New(fault.TooLarge, "why"), 413, "too_large", "why", ""},
		"media type":       {fault.New(fault.UnsupportedMediaType, "why"), 415, "unsupported_media_type", "why", ""},
		"invalid metadata": {fault.New(fault.InvalidMetadata, "why"), 422, "invalid_metadata", "why", ""},
		"rate limited":     {fault.New(fault.RateLimited, "why").WithRetryAfter(1500 * time.Millisecond), 429, "rate_limited", "why", "2"},
		"unavailable":      {fault.New(fault.Unavailable, "why"), 503, "unavailable", "why", "5"},
		"wrapped":          {fmt.Errorf("search: %w", fault.Wrap(fault.Unavailable, errors.New("secret"), "why")), 503, "unavailable", "why", "5"},
		"bad response":     {fault.New(fault.BadResponse, "why"), 503, "unavailable", "why", "5"},
		"lease lost":       {fault.New(fault.LeaseLost, "secret"), 500, "internal", "internal error", ""},
		"no kind":          {errors.New("secret"), 500, "internal", "internal error", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			f.failure = test.err
			h := newHandler(t, configOf(t, f))
			for _, w := range []*httptest.ResponseRecorder{
				do(h, "POST", "/v1/search", "application/json", `{"query":"q"}`),
				do(h, "PUT", "/v1/documents?key=k", "", "# a"),
				do(h, "GET", "/v1/documents/0199c7a4-0000-7000-8000-000000000000/content", "", ""),
			} {
				wantProblem(t, w, test.status, test.code, test.detail)
				if got := w.Header().Get("Retry-After"); got != test.retryAfter {
					t.Errorf("Retry-After %q, want %q", got, test.retryAfter)
				}
				if strings.Contains(w.Body.String(), "secret") {
					t.Errorf("the response shows the cause: %s", w.Body)
				}
			}
		})
	}
}

func TestPanicIsOnlyLogged(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.panics = true
	var log bytes.Buffer
	config := configOf(t, f)
	config.Log = slog.New(slog.NewTextHandler(&log, nil))
	w := do(newHandler(t, config), "GET", "/v1/documents", "", "")
	wantProblem(t, w, 500, "internal", "internal error")
	if strings.Contains(w.Body.String(), "secret of the fake") || !strings.Contains(log.String(), "secret of the fake") || !strings.Contains(log.String(), "fakes_test.go") {
		t.Errorf("response %s\nlog %s\nwant the panic and its stack in the log only", w.Body, &log)
	}
}

func TestInternalErrorIsLogged(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.failure = errors.New("secret of the database")
	var log bytes.Buffer
	config := configOf(t, f)
	config.Log = slog.New(slog.NewTextHandler(&log, nil))
	do(newHandler(t, config), "GET", "/v1/jobs", "", "")
	if !strings.Contains(log.String(), "secret of the database") {
		t.Errorf("the log is %s, want the cause in it", &log)
	}
}

func TestUnknownRoutesAndMethods(t *testing.T) {
	t.Parallel()
	h := newHandler(t, configOf(t, newFake()))
	wantProblem(t, do(h, "GET", "/v2/documents", "", ""), 404, "not_found", "/v2/documents")
	wantProblem(t, do(h, "GET", "/v1/documents/", "", ""), 404, "not_found", "")
	w := do(h, "PATCH", "/v1/documents", "", "")
	wantProblem(t, w, 405, "bad_request", "PATCH")
	if got := w.Header().Get("Allow"); got != "GET, HEAD, POST, PUT" {
		t.Errorf("Allow %q, want GET, HEAD, POST, PUT", got)
	}
}

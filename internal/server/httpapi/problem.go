package httpapi

import (
	"cmp"
	"context"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

// Problem is the body of every answer that is not a success (RFC 9457).
type Problem struct {
	Type      string       `json:"type" doc:"Always about:blank; tell problems apart by code." example:"about:blank"`
	Title     string       `json:"title" doc:"The HTTP status in words." example:"Not Found"`
	Status    int          `json:"status" doc:"The HTTP status." example:"404"`
	Detail    string       `json:"detail" doc:"What happened, to what, and what to do about it."`
	Code      fault.Kind   `json:"code" doc:"What kind of problem it is; stable." example:"not_found"`
	RequestID string       `json:"request_id" doc:"Names the request in the server's log."`
	Offset    *int64       `json:"offset,omitempty" doc:"Byte of the document at which the problem was found."`
	Errors    []FieldError `json:"errors,omitempty" doc:"The fields that are wrong."`

	headers http.Header
}

// FieldError says what is wrong with one field.
type FieldError struct {
	Location string `json:"location" doc:"Where the field stands." example:"body.limit"`
	Message  string `json:"message" doc:"What is wrong with it." example:"expected integer"`
}

// statusClientGone is what the log shows when the client did not stay for the
// answer. It is nginx's; HTTP has none.
const statusClientGone = 499

// statuses are the answers to failures that have a kind. Every other failure
// is internal: 500, logged whole, shown to nobody.
var statuses = map[fault.Kind]int{
	fault.BadRequest:           http.StatusBadRequest,
	fault.Unauthenticated:      http.StatusUnauthorized,
	fault.Forbidden:            http.StatusForbidden,
	fault.NotFound:             http.StatusNotFound,
	fault.Conflict:             http.StatusConflict,
	fault.PreconditionFailed:   http.StatusPreconditionFailed,
	fault.RequestTimeout:       http.StatusRequestTimeout,
	fault.TooLarge:             http.StatusRequestEntityTooLarge,
	fault.UnsupportedMediaType: http.StatusUnsupportedMediaType,
	fault.InvalidEncoding:      http.StatusUnprocessableEntity,
	fault.EmptyDocument:        http.StatusUnprocessableEntity,
	fault.InvalidMetadata:      http.StatusUnprocessableEntity,
	fault.Damaged:              http.StatusGone,
	fault.RateLimited:          http.StatusTooManyRequests,
	fault.Unavailable:          http.StatusServiceUnavailable,
}

// defaultRetryAfter is what clients are told when nobody knows better.
const defaultRetryAfter = 5 * time.Second

// problem turns a failure into its answer, and logs it if it is ours.
func (s *server) problem(ctx context.Context, err error) *Problem {
	f := cmp.Or(fault.As(err), fault.New(fault.Internal, ""))
	code := f.Kind
	if code == fault.BadResponse || code == fault.InterruptedResponse {
		// A model that answers rubbish is as good as none, and the client's
		// next request may fare better.
		code = fault.Unavailable
	}
	status, known := statuses[code]
	switch {
	case known && status < http.StatusInternalServerError:
	case ctx.Err() != nil:
		// Whatever failed did so because nobody waits for it any more.
		return newProblem(ctx, statusClientGone, fault.BadRequest, "the client went away")
	case !known:
		s.Log.ErrorContext(ctx, "request failed", "error", err)
		return internalProblem(ctx)
	}
	p := newProblem(ctx, status, code, f.Detail)
	p.Offset = f.Offset
	switch code {
	case fault.Unauthenticated:
		p.headers.Set("WWW-Authenticate", `Bearer realm="gristmill"`)
	case fault.Damaged:
		s.Log.ErrorContext(ctx, "original is lost", "error", err)
		p.headers.Set("Cache-Control", "no-store") // until it is restored
	case fault.RateLimited, fault.Unavailable:
		s.Log.WarnContext(ctx, "request put off", "error", err)
		p.headers.Set("Retry-After", retryAfter(f.RetryAfter))
	}
	return p
}

// retryAfter returns d in whole seconds, rounded up.
func retryAfter(d time.Duration) string {
	if d <= 0 {
		d = defaultRetryAfter
	}
	return strconv.Itoa(int(math.Ceil(d.Seconds())))
}

func newProblem(ctx context.Context, status int, code fault.Kind, detail string) *Problem {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return &Problem{
		Type:      "about:blank",
		Title:     http.StatusText(status),
		Status:    status,
		Detail:    detail,
		Code:      code,
		RequestID: id,
		headers:   http.Header{},
	}
}

func internalProblem(ctx context.Context) *Problem {
	return newProblem(ctx, http.StatusInternalServerError, fault.Internal,
		"something went wrong on our side; the server's log has it under this request_id")
}

// writeError answers a raw handler's request with a failure.
func (s *server) writeError(w http.ResponseWriter, r *http.Request, err error) {
	writeProblem(w, r, s.problem(r.Context(), err))
}

func writeProblem(w http.ResponseWriter, r *http.Request, p *Problem) {
	text, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings and numbers only
	}
	if body, ok := r.Body.(*requestBody); ok {
		body.prepareLinger(w)
	}
	for name, values := range p.headers {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", problemMediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(text) // the client has gone; nobody is left to tell
}

const problemMediaType = "application/problem+json"

// Error implements error, so that handlers can return a problem.
func (p *Problem) Error() string { return p.Detail }

// GetStatus tells huma the status.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders tells huma the headers that come with it.
func (p *Problem) GetHeaders() http.Header { return p.headers }

// ContentType tells huma the media type.
func (p *Problem) ContentType(string) string { return problemMediaType }

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

// Problem is the body of every error response (RFC 9457).
type Problem struct {
	Type      string       `json:"type" doc:"Always about:blank; use code to distinguish problems." example:"about:blank"`
	Title     string       `json:"title" doc:"The HTTP status in words." example:"Not Found"`
	Status    int          `json:"status" doc:"The HTTP status." example:"404"`
	Detail    string       `json:"detail" doc:"What failed, why, and what to do."`
	Code      fault.Kind   `json:"code" doc:"The kind of problem; stable." example:"not_found"`
	RequestID string       `json:"request_id" doc:"The id of the request in the server's log."`
	Offset    *int64       `json:"offset,omitempty" doc:"Position of the problem in the document, in bytes."`
	Errors    []FieldError `json:"errors,omitempty" doc:"The invalid fields."`

	headers http.Header
}

// FieldError describes an invalid field.
type FieldError struct {
	Location string `json:"location" doc:"The path of the field." example:"body.limit"`
	Message  string `json:"message" doc:"What is wrong with the field." example:"expected integer"`
}

// statusClientGone is the status in the log if the client disconnected before the response. HTTP has no
// such status; nginx uses this one.
const statusClientGone = 499

// statuses has the status for each kind of error. Every other error is internal: it is logged, and the
// client gets 500 without details.
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

// defaultRetryAfter is the wait that clients are asked for if the error has none.
const defaultRetryAfter = 5 * time.Second

// problem returns the response to an error. It logs errors that are not the client's.
func (s *server) problem(ctx context.Context, err error) *Problem {
	f := cmp.Or(fault.As(err), fault.New(fault.Internal, ""))
	code := f.Kind
	if code == fault.BadResponse || code == fault.InterruptedResponse {
		// For the client, the model is unavailable. The next request may succeed.
		code = fault.Unavailable
	}
	status, known := statuses[code]
	switch {
	case known && status < http.StatusInternalServerError:
	case ctx.Err() != nil:
		// The error is a consequence of the end of ctx.
		return newProblem(ctx, statusClientGone, fault.BadRequest, "the client has disconnected")
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
		s.Log.WarnContext(ctx, "request refused for now", "error", err)
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
		"internal error; the server's log has the details with this request_id")
}

// writeError writes an error as the response of a raw handler.
func (s *server) writeError(w http.ResponseWriter, r *http.Request, err error) {
	writeProblem(w, r, s.problem(r.Context(), err))
}

func writeProblem(w http.ResponseWriter, r *http.Request, p *Problem) {
	text, err := json.Marshal(p)
	if err != nil {
		panic(err) // cannot happen: a problem has only strings and numbers
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
	_, _ = w.Write(text) // an error means that the client has disconnected
}

const problemMediaType = "application/problem+json"

// Error implements error, so that handlers can return a problem.
func (p *Problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders implements huma.HeadersError.
func (p *Problem) GetHeaders() http.Header { return p.headers }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return problemMediaType }

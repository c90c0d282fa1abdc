// Package telemetry provides structured logs, metrics and health checks.
package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/seed-7a112592/gristmill/internal/tenant"
)

// NewLogger returns a logger that writes records of the given level ("debug", "info", "warn" or
// "error") or above to w, in format "json" or "text". Each record also has the attributes that
// WithLogAttrs added to its context.
func NewLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	var threshold slog.Level
	if err := threshold.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("log level %q: want debug, info, warn or error", level)
	}
	options := &slog.HandlerOptions{Level: threshold}
	switch format {
	case "json":
		return slog.New(contextHandler{slog.NewJSONHandler(w, options)}), nil
	case "text":
		return slog.New(contextHandler{slog.NewTextHandler(w, options)}), nil
	default:
		return nil, fmt.Errorf("log format %q: want json or text", format)
	}
}

type attrsKey struct{}

// WithLogAttrs returns a context whose log records also have attrs, such as the request, the
// tenant, the document and the job. Call it once, at the edge.
func WithLogAttrs(ctx context.Context, attrs ...slog.Attr) context.Context {
	have, _ := ctx.Value(attrsKey{}).([]slog.Attr)
	// A fresh slice: contexts that share a parent must not share its tail.
	all := make([]slog.Attr, 0, len(have)+len(attrs))
	return context.WithValue(ctx, attrsKey{}, append(append(all, have...), attrs...))
}

// WithTenant returns a context for work on behalf of a tenant: it carries the tenant id, and
// its log records name the tenant.
func WithTenant(ctx context.Context, id string) context.Context {
	return WithLogAttrs(tenant.With(ctx, id), slog.String("tenant", id))
}

// contextHandler adds the context's attributes to every record.
type contextHandler struct{ slog.Handler }

func (h contextHandler) Handle(ctx context.Context, r slog.Record) error {
	if attrs, _ := ctx.Value(attrsKey{}).([]slog.Attr); len(attrs) > 0 {
		r = r.Clone()
		r.AddAttrs(attrs...)
	}
	return h.Handler.Handle(ctx, r)
}

func (h contextHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return contextHandler{h.Handler.WithAttrs(attrs)}
}

func (h contextHandler) WithGroup(name string) slog.Handler {
	return contextHandler{h.Handler.WithGroup(name)}
}

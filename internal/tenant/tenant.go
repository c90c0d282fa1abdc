// Package tenant carries in a context the tenant on whose data a request or a task works. The
// tenant is set once at the edge (from an API key or a task's payload) and read once at the
// database, which enforces it.
package tenant

import (
	"context"
	"fmt"
	"regexp"
)

// Default is the tenant of an installation that has created no others.
const Default = "default"

var pattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

type contextKey struct{}

// With returns a context that carries the tenant id.
func With(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, contextKey{}, id)
}

// From returns the tenant id of ctx. It returns an error if ctx has no tenant or a malformed one,
// because callers are about to read or write data, which always belongs to a tenant.
func From(ctx context.Context) (string, error) {
	id, ok := ctx.Value(contextKey{}).(string)
	if !ok {
		return "", fmt.Errorf("no tenant in context")
	}
	if err := Validate(id); err != nil {
		return "", err
	}
	return id, nil
}

// Validate returns an error unless id is a well-formed tenant id: 1 to 63 lower-case letters,
// digits and hyphens, beginning with a letter or digit.
func Validate(id string) error {
	if !pattern.MatchString(id) {
		return fmt.Errorf("tenant id %q: want 1 to 63 characters a-z, 0-9 or '-', beginning with a letter or digit", id)
	}
	return nil
}

// Package embeddingtest holds what tests of those that buy vectors share.
package embeddingtest

import "context"

// NopLocks are the claims of a process without others.
type NopLocks struct{}

func (NopLocks) AcquireLocks(_ context.Context, names []string) []string { return names }
func (NopLocks) ReleaseLocks(context.Context, []string)                  {}

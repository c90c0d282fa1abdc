// Package embeddingtest holds helpers for tests that embed passages.
package embeddingtest

import (
	"context"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/embedding"
	"github.com/seed-7a112592/gristmill/internal/writeback"
)

// NewProcessState returns the state of a process whose writes succeed. NopLocks are the locks of a
// process that runs alone.
func NewProcessState(t testing.TB, locks embedding.SharedLocks) *embedding.ProcessState {
	t.Helper()
	state, err := embedding.NewProcessState(embedding.ProcessConfig{Locks: locks, WriteBreaker: &writeback.Breaker{}})
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// NopLocks are the locks of a process that shares with no other process: all are free.
type NopLocks struct{}

func (NopLocks) AcquireLocks(_ context.Context, names []string) []string { return names }
func (NopLocks) ReleaseLocks(context.Context, []string)                  {}

package sqlite

import (
	"context"
	"time"

	"github.com/seed-7a112592/gristmill/internal/task"
)

// WatchProcesses waits for the end of ctx: a database has one process.
func (s *Store) WatchProcesses(ctx context.Context, _ func(ctx context.Context, process int64) error) {
	<-ctx.Done()
}

// ReclaimTasks returns nothing: see ReleaseLeases.
func (s *Store) ReclaimTasks(context.Context, int64, time.Duration) ([]task.Dispatch, bool, error) {
	return nil, false, nil
}

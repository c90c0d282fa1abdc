package postgres

import (
	"context"
	"time"
)

// unlockTimeout bounds giving a lock back after the work's context has ended.
const unlockTimeout = 5 * time.Second

// TryWithLock runs fn while no other process runs under the same name, or
// returns nil at once when one does. The lock is the session's: it goes with
// the connection, however this process ends.
func (s *Store) TryWithLock(ctx context.Context, name string, fn func(ctx context.Context) error) (err error) {
	acquired, err := s.acquireNamedLock(ctx, name)
	if err != nil || acquired == nil {
		return err
	}
	defer acquired()
	return fn(ctx)
}

// acquireNamedLock takes the lock of a name and returns what gives it back, or nil when
// another process has it.
func (s *Store) acquireNamedLock(ctx context.Context, name string) (unlock func(), err error) {
	defer wrapError(&err, "lock %q", name)
	ctx, cancel := context.WithTimeout(ctx, acquireTimeout)
	defer cancel()
	conn, err := s.sessions.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	var ours bool
	err = conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtextextended($1, 0))`, name).Scan(&ours)
	if err != nil || !ours {
		err = markConnectionLost(conn.Conn(), err)
		conn.Release()
		return nil, err
	}
	return func() {
		defer conn.Release()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlockTimeout)
		defer cancel()
		if _, err := conn.Exec(ctx, `SELECT pg_advisory_unlock(hashtextextended($1, 0))`, name); err != nil {
			// The lock must not go back to the pool with the connection.
			s.log.WarnContext(ctx, "lock not given back; closing its connection", "lock", name, "error", err)
			_ = conn.Conn().Close(ctx)
		}
	}, nil
}

package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// InTenant is inTenant, for tests.
func (s *Store) InTenant(ctx context.Context, fn func(tx pgx.Tx) error) error {
	return s.inTenant(ctx, fn)
}

// SetTimeout has transactions take no longer than d.
func (s *Store) SetTimeout(d time.Duration) { s.timeout = d }

// OnConnection runs a query on a connection of the pool as the last user left
// it.
func (s *Store) OnConnection(ctx context.Context, query string, dest any) error {
	return s.pool.QueryRow(ctx, query).Scan(dest)
}

// Describe gives err the kind that callers of the store see.
func Describe(err error) error {
	describe(&err, "test")
	return err
}

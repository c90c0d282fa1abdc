package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// InTenant is inTenant, for tests.
func (s *Store) InTenant(ctx context.Context, fn func(tx pgx.Tx) error) error {
	return s.inTenant(ctx, fn)
}

// OnConnection runs a query on a connection of the pool as the last user left
// it.
func (s *Store) OnConnection(ctx context.Context, query string, dest any) error {
	return s.pool.QueryRow(ctx, query).Scan(dest)
}

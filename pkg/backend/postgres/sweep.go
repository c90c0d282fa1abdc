package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Tenants returns every tenant's id.
func (s *Store) Tenants(ctx context.Context) (ids []string, err error) {
	defer describe(&err, "list tenants")
	rows, err := s.pool.Query(ctx, `SELECT id FROM tenants ORDER BY id`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

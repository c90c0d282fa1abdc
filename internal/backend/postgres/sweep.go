package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/garbage"
)

// Tenants returns every tenant's id.
func (s *Store) Tenants(ctx context.Context) ([]string, error) {
	return s.queryTenants(ctx, `SELECT id FROM tenants`)
}

// TenantsWithWork returns tenants that have tasks, or reindexes, that have not
// ended.
func (s *Store) TenantsWithWork(ctx context.Context) ([]string, error) {
	return s.queryTenants(ctx, `SELECT public.tenants_with_work()`)
}

// TenantsWithGarbage returns tenants that have something to be removed by now.
func (s *Store) TenantsWithGarbage(ctx context.Context, ages garbage.MinAges) ([]string, error) {
	return s.queryTenants(ctx, `
		SELECT public.tenants_with_garbage(now() + $1::interval, now() - $2::interval, now() - $3::interval, now() - $4::interval, now() - $5::interval)`,
		ages.EntriesAhead, ages.Uploads, ages.Sections, ages.IdempotencyKeys, ages.Deliveries)
}

// TenantsWithDeliveries returns tenants that have deliveries to be sent.
func (s *Store) TenantsWithDeliveries(ctx context.Context) ([]string, error) {
	return s.queryTenants(ctx, `SELECT public.tenants_with_deliveries()`)
}

// TenantsToVerify returns tenants whose verification is under way, or was begun
// longer than age ago.
func (s *Store) TenantsToVerify(ctx context.Context, age time.Duration) ([]string, error) {
	return s.queryTenants(ctx, `SELECT public.tenants_to_verify(now() - $1::interval)`, age)
}

// TenantsWithGrownSpaces returns tenants that have spaces for Grown to look at.
func (s *Store) TenantsWithGrownSpaces(ctx context.Context) ([]string, error) {
	return s.queryTenants(ctx, `SELECT public.tenants_with_grown_spaces()`)
}

// queryTenants sorts what a query returns, whatever the collation of the database.
func (s *Store) queryTenants(ctx context.Context, query string, args ...any) (ids []string, err error) {
	defer wrapError(&err, "list tenants")
	rows, err := s.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	ids, err = pgx.CollectRows(rows, pgx.RowTo[string])
	slices.Sort(ids)
	return ids, err
}

package sqlite

import (
	"context"
	"time"

	"github.com/seed-7a112592/gristmill/internal/garbage"
)

// Tenants returns every tenant's id.
func (s *Store) Tenants(ctx context.Context) (ids []string, err error) {
	defer wrapError(&err, "list tenants")
	rows, err := s.readers.QueryContext(ctx, `SELECT id FROM tenants ORDER BY id`)
	return collectRows(rows, err, func(row scanner) (id string, err error) { return id, row.Scan(&id) })
}

// TenantsWithGarbage returns every tenant: there are few, and no server to ask.
func (s *Store) TenantsWithGarbage(ctx context.Context, _ garbage.MinAges) ([]string, error) {
	return s.Tenants(ctx)
}

// TenantsWithDeliveries returns every tenant.
func (s *Store) TenantsWithDeliveries(ctx context.Context) ([]string, error) { return s.Tenants(ctx) }

// TenantsToVerify returns every tenant.
func (s *Store) TenantsToVerify(ctx context.Context, _ time.Duration) ([]string, error) {
	return s.Tenants(ctx)
}

// TenantsWithGrownSpaces returns none, since Grown returns nothing.
func (s *Store) TenantsWithGrownSpaces(context.Context) ([]string, error) { return nil, nil }

// TryWithLock runs fn unless it is being run under the same name. No other
// process has the database open.
func (s *Store) TryWithLock(ctx context.Context, name string, fn func(ctx context.Context) error) error {
	s.mu.Lock()
	taken := s.heldLocks[name]
	s.heldLocks[name] = true
	s.mu.Unlock()
	if taken {
		return nil
	}
	defer func() {
		s.mu.Lock()
		delete(s.heldLocks, name)
		s.mu.Unlock()
	}()
	return fn(ctx)
}

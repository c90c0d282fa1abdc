package sqlite

import (
	"context"
)

// Tenants returns every tenant's id.
func (s *Store) Tenants(ctx context.Context) (ids []string, err error) {
	defer describe(&err, "list tenants")
	rows, err := s.readers.QueryContext(ctx, `SELECT id FROM tenants ORDER BY id`)
	return collect(rows, err, func(row scanner) (id string, err error) { return id, row.Scan(&id) })
}

// Exclusively runs fn unless it is being run under the same name. No other
// process has the database open.
func (s *Store) Exclusively(ctx context.Context, name string, fn func(ctx context.Context) error) error {
	s.mu.Lock()
	taken := s.exclusive[name]
	s.exclusive[name] = true
	s.mu.Unlock()
	if taken {
		return nil
	}
	defer func() {
		s.mu.Lock()
		delete(s.exclusive, name)
		s.mu.Unlock()
	}()
	return fn(ctx)
}

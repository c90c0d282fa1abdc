package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// InTenant is inTenant, for tests.
func (s *Store) InTenant(ctx context.Context, fn func(tx pgx.Tx) error) error {
	return s.inTenant(ctx, fn)
}

// InOneTrip is inOneTrip, for tests.
func (s *Store) InOneTrip(ctx context.Context, queue func(batch *pgx.Batch)) error {
	return s.inOneTrip(ctx, queue)
}

// InTenantLast runs a transaction of which all goes with the commit.
func (s *Store) InTenantLast(ctx context.Context, queue func(batch *pgx.Batch)) error {
	return s.inTenantLast(ctx, func(pgx.Tx) (*pgx.Batch, error) {
		var last pgx.Batch
		queue(&last)
		return &last, nil
	})
}

// SetTimeout has transactions take no longer than d.
func (s *Store) SetTimeout(d time.Duration) { s.timeout = d }

// OnConnection runs a query on a connection of the pool as the last user left
// it.
func (s *Store) OnConnection(ctx context.Context, query string, dest any) error {
	return s.pool.QueryRow(ctx, query).Scan(dest)
}

// ExplainNearest returns the plan of a search along the index.
func ExplainNearest(ctx context.Context, tx pgx.Tx, space document.Space, query document.Query) ([]string, error) {
	in := collectionFilter(space, query)
	return collect(ctx, tx, pgx.RowTo[string], "EXPLAIN "+walkIndex.statement(space, in), searchArgs(space, query, in, query.Limit))
}

// InsertPassages is insertPassages, for tests.
func InsertPassages(ctx context.Context, tx pgx.Tx, space document.Space, passages []document.Embedded) (int, error) {
	return insertPassages(ctx, tx, held{Space: space}, passages)
}

// PassagesTable is the table that the passages of a space stand in.
func PassagesTable(space document.Space) string { return passagesTable(space) }

// ExplainExact runs a search of all passages of a space and returns its plan, as
// JSON.
func ExplainExact(ctx context.Context, tx pgx.Tx, space document.Space, query document.Query) (plan []byte, err error) {
	if _, err := tx.Exec(ctx, compareAll.settings); err != nil {
		return nil, err
	}
	in := collectionFilter(space, query)
	err = tx.QueryRow(ctx, "EXPLAIN (ANALYZE, FORMAT JSON) "+compareAll.statement(space, in), searchArgs(space, query, in, query.Limit)).Scan(&plan)
	return plan, err
}

// MoveSpaceUntil moves a space until it is in a step of its move, as if the
// process had ended there.
func (s *Store) MoveSpaceUntil(ctx context.Context, space int64, step string) error {
	if err := s.setStorage(ctx, space, "shared", "moving"); err != nil || step == "moving" {
		return err
	}
	if err := s.slices(ctx, space, copySlice); err != nil {
		return err
	}
	return s.setStorage(ctx, space, "moving", "moved")
}

// KnownIn does in a transaction what Known does for a hash that is nowhere.
func (s *Store) KnownIn(ctx context.Context, tx pgx.Tx, space document.Space, hashes []document.Hash) error {
	if err := lookUp(ctx, tx, &space, hashes, map[document.Hash]int{}); err != nil {
		return err
	}
	_, err := copyKnown(ctx, tx, space, hashes)
	return err
}

// Describe gives err the kind that callers of the store see.
func Describe(err error) error {
	describe(&err, "test")
	return err
}

// MigrateTo brings the tables to a version, as the owner.
func MigrateTo(ctx context.Context, ownerURL string, version int64) error {
	owner, err := parseAsOwner(ownerURL)
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*owner)
	defer db.Close()
	provider, err := newProvider(db)
	if err != nil {
		return err
	}
	_, err = provider.UpTo(ctx, version)
	return err
}

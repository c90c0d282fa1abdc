package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/seed-7a112592/gristmill/internal/lifecycle"
	"github.com/seed-7a112592/gristmill/internal/vector"
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

// InTenantCommitBatch runs a transaction of which all goes with the commit.
func (s *Store) InTenantCommitBatch(ctx context.Context, queue func(batch *pgx.Batch)) error {
	return s.inTenantCommitBatch(ctx, func(pgx.Tx) (*pgx.Batch, error) {
		var last pgx.Batch
		queue(&last)
		return &last, nil
	})
}

// UpdateJob is updateJob, for tests.
func (s *Store) UpdateJob(ctx context.Context, id uuid.UUID, event func(lifecycle.Job, time.Time) (lifecycle.Job, error)) (document.Job, error) {
	return s.updateJob(ctx, id, event)
}

// UpdateReindex is updateReindex, for tests.
func (s *Store) UpdateReindex(ctx context.Context, id uuid.UUID, event func(lifecycle.Reindex, time.Time) (lifecycle.Reindex, error)) (document.Reindex, error) {
	return s.updateReindex(ctx, id, event)
}

// SetTimeout has transactions take no longer than d.
func (s *Store) SetTimeout(d time.Duration) { s.timeout = d }

// QueryPooledConn runs a query on a connection of the pool as the last user left
// it.
func (s *Store) QueryPooledConn(ctx context.Context, query string, dest any) error {
	return s.pool.QueryRow(ctx, query).Scan(dest)
}

// ExplainNearest returns the plan of a search along the index.
func ExplainNearest(ctx context.Context, tx pgx.Tx, space vector.Space, query vector.Query) ([]string, error) {
	in := collectionFilter(space, query)
	return queryAll(ctx, tx, pgx.RowTo[string], "EXPLAIN "+walkIndexPlan.statement(space, in), searchArgs(space, query, in, query.Limit))
}

// InsertPassages is insertPassages, for tests.
func InsertPassages(ctx context.Context, tx pgx.Tx, space vector.Space, passages []vector.EmbeddedPassage) (int, error) {
	return insertPassages(ctx, tx, heldSpace{Space: space}, passages)
}

// PassagesTable is the table that the passages of a space stand in.
func PassagesTable(space vector.Space) string { return passagesTable(space) }

// ExplainExact runs a search of all passages of a space and returns its plan, as
// JSON.
func ExplainExact(ctx context.Context, tx pgx.Tx, space vector.Space, query vector.Query) (plan []byte, err error) {
	if _, err := tx.Exec(ctx, compareAllPlan.settings); err != nil {
		return nil, err
	}
	in := collectionFilter(space, query)
	err = tx.QueryRow(ctx, "EXPLAIN (ANALYZE, FORMAT JSON) "+compareAllPlan.statement(space, in), searchArgs(space, query, in, query.Limit)).Scan(&plan)
	return plan, err
}

// MoveSpaceUntil moves a space until it is in a step of its move, as if the
// process had ended there.
func (s *Store) MoveSpaceUntil(ctx context.Context, space int64, step string) error {
	if err := s.advanceMove(ctx, space, "shared", "moving"); err != nil || step == "moving" {
		return err
	}
	if err := s.forEachSharedPage(ctx, space, copySharedPage); err != nil {
		return err
	}
	return s.advanceMove(ctx, space, "moving", "moved")
}

// ReusePassagesInTx does in a transaction what Known does for a hash that is nowhere.
func (s *Store) ReusePassagesInTx(ctx context.Context, tx pgx.Tx, space vector.Space, hashes []document.ContentHash) error {
	if err := lookUpPassages(ctx, tx, &space, hashes, map[document.ContentHash]int{}); err != nil {
		return err
	}
	_, err := copyFromOtherSpaces(ctx, tx, space, hashes)
	return err
}

// WrapError gives err the kind that callers of the store see.
func WrapError(err error) error {
	wrapError(&err, "test")
	return err
}

// MigrateTo brings the tables to a version, as the owner.
func MigrateTo(ctx context.Context, ownerURL string, version int64) error {
	owner, err := parseOwnerConfig(ownerURL)
	if err != nil {
		return err
	}
	db := stdlib.OpenDB(*owner)
	defer db.Close()
	provider, err := newMigrationProvider(db)
	if err != nil {
		return err
	}
	_, err = provider.UpTo(ctx, version)
	return err
}

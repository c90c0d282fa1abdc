package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

const (
	// maxIndexDimensions is the most that pgvector's HNSW takes of a halfvec.
	// Longer vectors are searched exactly, however many there are.
	maxIndexDimensions = 4000

	// How the graph of an index is built: links of a node, and how many
	// candidates each new node is compared with.
	indexLinks      = 16
	indexCandidates = 128

	// indexMemory is the most that a build may use. A graph that does not fit
	// is built several times slower.
	indexMemory = 1 << 30

	// lockAgain is how often to look whether another process has finished.
	lockAgain = time.Second
)

// Unindexed returns the spaces that IndexSpace would build an index for or measure, but
// those that nothing is written to, and those that a reindex builds: it sees to
// the index itself, when the space is loaded.
func (s *Store) Unindexed(ctx context.Context, threshold int) (spaces []document.Space, err error) {
	defer describe(&err, "find spaces without an index")
	err = s.inTenant(ctx, func(tx pgx.Tx) error {
		candidates, err := collect(ctx, tx, scanSpace, selectSpaces+`
			JOIN collections c ON c.id = s.collection
			WHERE NOT s.indexed AND s.written AND s.dimensions <= $1
			  AND (s.id = c.live_space OR NOT `+isBuilt+`)
			ORDER BY s.id`, maxIndexDimensions)
		if err != nil {
			return err
		}
		spaces = nil
		for _, space := range candidates {
			large, err := isLarge(ctx, tx, space, threshold)
			if err != nil {
				return err
			}
			if large {
				spaces = append(spaces, space)
			}
		}
		unmeasured, err := unmeasured(ctx, tx)
		spaces = append(spaces, unmeasured...)
		return err
	})
	return spaces, err
}

// isLarge reports whether the space has at least threshold passages. Counting
// stops there.
func isLarge(ctx context.Context, tx pgx.Tx, space document.Space, threshold int) (large bool, err error) {
	err = tx.QueryRow(ctx, fmt.Sprintf(`
		SELECT count(*) >= $1
		FROM (SELECT FROM %s WHERE space = %d LIMIT $1) AS counted`, passagesTable(space), space.ID), threshold).Scan(&large)
	return large, err
}

// IndexSpace builds the space's index if it has at least threshold passages, and
// measures it.
func (s *Store) IndexSpace(ctx context.Context, space document.Space, threshold int) (err error) {
	defer describe(&err, "index space %d", space.ID)
	if space.Indexed {
		return s.measureSpace(ctx, space)
	}
	var wanted bool
	if err := s.inTenant(ctx, func(tx pgx.Tx) error {
		var indexed bool
		err := tx.QueryRow(ctx, `SELECT indexed FROM spaces WHERE id = $1`, space.ID).Scan(&indexed)
		switch {
		case isNoRows(err): // dropped meanwhile
			return nil
		case err != nil || indexed || space.Model.Dimensions > maxIndexDimensions:
			return err
		}
		wanted, err = isLarge(ctx, tx, space, threshold)
		return err
	}); err != nil || !wanted {
		return err
	}
	if err := s.buildIndex(ctx, space); err != nil {
		return err
	}
	if err := s.inTenant(ctx, func(tx pgx.Tx) error {
		valid, err := indexIsValid(ctx, tx, space)
		if err != nil {
			return err
		}
		if !valid {
			return fault.New(fault.Misconfigured, "the index was built in another database: %s and %s must name the same", application.setting, indexing.setting)
		}
		_, err = tx.Exec(ctx, `UPDATE spaces SET indexed = true WHERE id = $1`, space.ID)
		return err
	}); err != nil {
		return err
	}
	return s.measureSpace(ctx, space)
}

// buildIndex builds the index on a connection of its own.
func (s *Store) buildIndex(ctx context.Context, space document.Space) error {
	conn, err := s.connectIndexer(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return withLoss(conn, s.buildOn(ctx, conn, space))
}

// buildOn builds the index, unless another process has: that one is waited for.
// The server goes on building for a process that was killed. A build that was
// cut short leaves an index that is not valid, which goes first. The lock is the
// session's, and goes with it.
func (s *Store) buildOn(ctx context.Context, conn *pgx.Conn, space document.Space) error {
	if err := lockIndex(ctx, conn, space); err != nil {
		return err
	}
	valid, err := indexIsValid(ctx, conn, space)
	if err != nil {
		return err
	}
	partition := "public." + passagesTable(space)
	build := []string{
		"SET statement_timeout = 0",
		fmt.Sprintf("SET max_parallel_maintenance_workers = %d", s.indexWorkers),
		fmt.Sprintf(`SELECT set_config('maintenance_work_mem', greatest(pg_size_bytes(current_setting('maintenance_work_mem')),
			least(%d, pg_table_size('%s') * 3 / 2)) / 1024 || 'kB', false)`, indexMemory, partition),
		"DROP INDEX CONCURRENTLY IF EXISTS public." + indexName(space),
		fmt.Sprintf("CREATE INDEX CONCURRENTLY %s ON %s USING hnsw ((embedding::public.halfvec(%d)) public.halfvec_cosine_ops) WITH (m = %d, ef_construction = %d)",
			indexName(space), partition, space.Model.Dimensions, indexLinks, indexCandidates),
	}
	if valid {
		build = nil
	}
	// Without statistics searches would not use the index.
	for _, statement := range append(build, "ANALYZE "+partition) {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func indexName(space document.Space) string { return fmt.Sprintf("passages_%d_embedding", space.ID) }

// indexedVector is the expression that the index of a space is on, as searches
// write it: its vectors, with the length that they have there.
func indexedVector(space document.Space) string {
	return fmt.Sprintf("embedding::halfvec(%d)", space.Model.Dimensions)
}

// lockIndex takes the right to build a space's index. It asks again and again
// and does not wait in the server: a statement that waits there is one that the
// other's build would wait for.
func lockIndex(ctx context.Context, conn *pgx.Conn, space document.Space) error {
	for {
		var ours bool
		if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtextextended('index/' || $1::bigint, 0))`, space.ID).Scan(&ours); err != nil || ours {
			return err
		}
		select {
		case <-time.After(lockAgain):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// indexIsValid reports whether the space has its index, whole.
func indexIsValid(ctx context.Context, db interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}, space document.Space) (valid bool, err error) {
	err = db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass($1) AND indisvalid)`, "public."+indexName(space)).Scan(&valid)
	return valid, err
}

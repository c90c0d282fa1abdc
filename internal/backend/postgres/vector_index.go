package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/vector"
)

const (
	// maxIndexDimensions is the most that pgvector's HNSW takes of a halfvec.
	// Longer vectors are searched exactly, however many there are.
	maxIndexDimensions = 4000

	// How the graph of an index is built: links of a node, and how many
	// candidates each new node is compared with.
	hnswM              = 16
	hnswEfConstruction = 128

	// maxIndexBuildMemory is the most that a build may use. A graph that does not fit is
	// built ten times slower. It takes up to nodeBytes for each passage, beside the
	// vector, of which a row of the table has at least rowBytes.
	maxIndexBuildMemory = 1 << 30
	hnswNodeBytes       = 800
	minRowBytes         = 100

	// indexLockRetryInterval is how often to look whether another process has finished.
	indexLockRetryInterval = time.Second
)

// hasAtLeastPassages reports whether the space has at least threshold passages. Counting
// stops there.
func hasAtLeastPassages(ctx context.Context, tx pgx.Tx, space vector.Space, threshold int) (large bool, err error) {
	err = tx.QueryRow(ctx, `
		SELECT count(*) >= $2
		FROM (SELECT FROM `+passagesTable(space)+` WHERE space = $1 LIMIT $2) AS counted`, space.ID, threshold).Scan(&large)
	return large, err
}

// ownTableThreshold is from how many passages on a space has a table of its own. An
// exact search of fewer is quick wherever they stand.
const ownTableThreshold = 5000

// IndexSpace moves the space to a table of its own when it has grown, builds its
// index if it has at least threshold passages, and measures it.
func (s *Store) IndexSpace(ctx context.Context, space vector.Space, threshold int) (err error) {
	defer wrapError(&err, "index space %d", space.ID)
	if space.Indexed {
		return s.measureSearchWidth(ctx, space)
	}
	needs, err := s.readSpaceNeeds(ctx, space.ID, threshold)
	if err == nil && needs.ownTable {
		err = s.MoveSpaceToOwnTable(ctx, space)
	}
	if err != nil || !needs.index {
		return err
	}
	space.OwnTable = true
	if err := s.buildIndex(ctx, space); err != nil && sqlState(err) != undefinedTable {
		return err
	}
	var kept bool
	if err := s.inTenant(ctx, func(tx pgx.Tx) error {
		valid, err := indexIsValid(ctx, tx, space)
		if err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, `
			SELECT EXISTS (SELECT FROM spaces WHERE id = $1 AND drop_after IS DISTINCT FROM '-infinity')`, space.ID).Scan(&kept); err != nil || !kept {
			return err
		}
		if !valid {
			return fault.New(fault.Misconfigured, "the index was built in another database: %s and %s must name the same", applicationPurpose.setting, indexPurpose.setting)
		}
		_, err = tx.Exec(ctx, `UPDATE spaces SET indexed = true WHERE id = $1`, space.ID)
		return err
	}); err != nil || !kept {
		return err
	}
	return s.measureSearchWidth(ctx, space)
}

// spaceNeeds is what a space does not have for as many passages as it has.
type spaceNeeds struct{ ownTable, index bool }

// readSpaceNeeds returns what a space needs; nothing when it was dropped. A move that was
// begun is to be finished.
func (s *Store) readSpaceNeeds(ctx context.Context, id int64, threshold int) (needs spaceNeeds, err error) {
	err = s.inSnapshot(ctx, func(tx pgx.Tx) error {
		var space vector.Space
		var storage string
		err := tx.QueryRow(ctx, `
			SELECT `+spaceColumns+`, s.storage
			FROM spaces s
			WHERE s.id = $1 AND s.drop_after IS DISTINCT FROM '-infinity'`, id).Scan(append(spaceFields(&space), &storage)...)
		if isNoRows(err) {
			return nil
		}
		if err != nil {
			return err
		}
		switch storage {
		case "shared":
			needs.ownTable, err = hasAtLeastPassages(ctx, tx, space, min(threshold, ownTableThreshold))
		case "moving", "moved":
			needs.ownTable = true
		}
		if err == nil && !space.Indexed && space.Model.Dimensions <= maxIndexDimensions {
			needs.index, err = hasAtLeastPassages(ctx, tx, space, threshold)
		}
		return err
	})
	return needs, err
}

// buildIndex builds the index on a connection of its own.
func (s *Store) buildIndex(ctx context.Context, space vector.Space) error {
	conn, err := s.connectIndexBuilder(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return markConnectionLost(conn, s.buildIndexOn(ctx, conn, space))
}

// buildIndexOn builds the index, unless another process has: that one is waited for.
// The server goes on building for a process that was killed. A build that was
// cut short leaves an index that is not valid, which goes first. The lock is the
// session's, and goes with it.
func (s *Store) buildIndexOn(ctx context.Context, conn *pgx.Conn, space vector.Space) error {
	if err := lockIndex(ctx, conn, space); err != nil {
		return err
	}
	valid, err := indexIsValid(ctx, conn, space)
	if err != nil {
		return err
	}
	partition := "public." + ownTable(space.ID)
	vectorBytes := 2 * space.Model.Dimensions
	build := []string{
		"SET statement_timeout = 0",
		fmt.Sprintf("SET max_parallel_maintenance_workers = %d", s.indexWorkers),
		fmt.Sprintf(`SELECT set_config('maintenance_work_mem', greatest(pg_size_bytes(current_setting('maintenance_work_mem')),
			least(%d, pg_table_size('%s') * %d / %d)) / 1024 || 'kB', false)`, maxIndexBuildMemory, partition, hnswNodeBytes+vectorBytes, minRowBytes+vectorBytes),
		"DROP INDEX CONCURRENTLY IF EXISTS public." + indexName(space),
		fmt.Sprintf("CREATE INDEX CONCURRENTLY %s ON %s USING hnsw ((embedding::public.halfvec(%d)) public.halfvec_cosine_ops) WITH (m = %d, ef_construction = %d)",
			indexName(space), partition, space.Model.Dimensions, hnswM, hnswEfConstruction),
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

func indexName(space vector.Space) string { return fmt.Sprintf("passages_%d_embedding", space.ID) }

// indexExpression is the expression that the index of a space is on, as searches
// write it: its vectors, with the length that they have there.
func indexExpression(space vector.Space) string {
	return fmt.Sprintf("embedding::halfvec(%d)", space.Model.Dimensions)
}

// lockIndex takes the right to build a space's index. It asks again and again
// and does not wait in the server: a statement that waits there is one that the
// other's build would wait for.
func lockIndex(ctx context.Context, conn *pgx.Conn, space vector.Space) error {
	for {
		var ours bool
		if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtextextended('index/' || $1::bigint, 0))`, space.ID).Scan(&ours); err != nil || ours {
			return err
		}
		select {
		case <-time.After(indexLockRetryInterval):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// indexIsValid reports whether the space has its index, whole.
func indexIsValid(ctx context.Context, db interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}, space vector.Space) (valid bool, err error) {
	err = db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass($1) AND indisvalid)`, "public."+indexName(space)).Scan(&valid)
	return valid, err
}

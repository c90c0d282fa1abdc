package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	pgvectorpgx "github.com/pgvector/pgvector-go/pgx"
)

// baselineLoad returns the number of rows of a space, and the minimum time to load them, in
// seconds: copied for one COPY into a table without indexes and triggers, and indexed for building
// the space's vector index on that table, with the same statement, the same number of processes and
// at least as much memory.
func (s *installation) baselineLoad(space int64) (rows int, copied, indexed float64) {
	ctx, partition := s.b.ctx, fmt.Sprintf("passages_%d", space)
	exec := func(statement string) {
		if _, err := s.db.Exec(ctx, statement); err != nil {
			s.b.Fatalf("%s: %v", statement, err)
		}
	}
	if err := pgvectorpgx.RegisterTypes(ctx, s.db); err != nil {
		s.b.Fatal(err)
	}
	var index string
	err := s.db.QueryRow(ctx, `SELECT indexdef FROM pg_indexes WHERE tablename = $1 AND indexdef LIKE '% USING hnsw %'`, partition).Scan(&index)
	if err != nil {
		s.b.Fatalf("find the vector index of space %d: %v", space, err)
	}
	columns, values := s.readAll(partition)
	exec("CREATE TABLE bare (LIKE " + partition + " INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)")
	exec("SET maintenance_work_mem = '1GB'")
	exec(fmt.Sprintf("SET max_parallel_maintenance_workers = %d", indexWorkers))
	exec("CHECKPOINT")

	begin := time.Now()
	if _, err := s.db.CopyFrom(ctx, pgx.Identifier{"bare"}, columns, pgx.CopyFromRows(values)); err != nil {
		s.b.Fatalf("copy: %v", err)
	}
	copied = time.Since(begin).Seconds()
	begin = time.Now()
	exec(strings.ReplaceAll(index, partition, "bare"))
	return len(values), copied, time.Since(begin).Seconds()
}

// readAll returns all rows of a table.
func (s *installation) readAll(table string) (columns []string, values [][]any) {
	rows, err := s.db.Query(s.b.ctx, "SELECT * FROM "+table)
	if err != nil {
		s.b.Fatal(err)
	}
	for _, field := range rows.FieldDescriptions() {
		columns = append(columns, field.Name)
	}
	values, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
	if err != nil {
		s.b.Fatalf("read %s: %v", table, err)
	}
	return columns, values
}

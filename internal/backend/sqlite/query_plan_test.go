package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// statements are the distinct statements that stores have sent, with the
// arguments of one time each.
type statements struct {
	mu   sync.Mutex
	sent map[string][]driver.NamedValue
}

// record has a store send its statements through st.
func (st *statements) record(t *testing.T, s *Store) {
	t.Helper()
	for _, p := range []struct {
		of         **sql.DB
		parameters string
	}{{&s.writer, writerParameters}, {&s.readers, readerParameters}} {
		to, err := newConnector(s.path, p.parameters)
		if err != nil {
			t.Fatal(err)
		}
		size := (*p.of).Stats().MaxOpenConnections
		if err := (*p.of).Close(); err != nil {
			t.Fatal(err)
		}
		*p.of = newPool(recordingConnector{to, st}, size)
	}
}

func (st *statements) add(statement string, args []driver.NamedValue) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.sent == nil {
		st.sent = map[string][]driver.NamedValue{}
	}
	st.sent[statement] = args
}

type recordingConnector struct {
	driver.Connector
	to *statements
}

func (c recordingConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return recordingConn{conn, c.to}, nil
}

type recordingConn struct {
	driver.Conn
	to *statements
}

func (c recordingConn) ExecContext(ctx context.Context, statement string, args []driver.NamedValue) (driver.Result, error) {
	c.to.add(statement, args)
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, statement, args)
}

func (c recordingConn) QueryContext(ctx context.Context, statement string, args []driver.NamedValue) (driver.Rows, error) {
	c.to.add(statement, args)
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, statement, args)
}

func (c recordingConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, opts)
}

// readsAll is a step of a plan that reads all rows of a table, or all of a tenant.
var readsAll = regexp.MustCompile(`^(?:SCAN|SEARCH) (\w+)(?: USING .*\(tenant=\?\)| USING (?:PRIMARY KEY|(?:COVERING )?INDEX \w+)|)$`)

// mayReadAll are parts of statements that do so, and why they may.
var mayReadAll = map[string]string{
	"FROM backlog":       "one row of a tenant",
	"FROM verifications": "one row of a tenant",
	"FROM webhooks":      "few",
	"FROM tenants":       "goes through tenants; of each, what waits is asked for by index",
	"SELECT c.id, c.name, coalesce(c.summaries, ''), " + isReplaceable: "all collections are wanted",
	"FROM released_sections":       "the oldest that is under way is sought in what is",
	"INSERT INTO collections":      "foreign keys that nothing can violate; these steps are not run",
	"INSERT INTO spaces":           "takes the next id after those of all reindexes",
	"(progress ->> 'seconds')":     "an estimate looks for the last reindexes that used a model",
	"SELECT j.started_at AS began": "an estimate looks for the last jobs that used a model",
	"kind = 'search'":              "once in a pass of the verification",
	"FROM spaces s\n\t\tWHERE s.tenant = ?1 AND s.drop_after IS NOT NULL": "once in a pass of the verification",
	"state = 'queued' AND dispatched_at IS NULL":                          "reindexes, of which a collection has one that waits",
}

// checkPlans fails for each statement that reads more than what it is about.
// Plans do not depend on what a database has, because its statistics do not.
func (st *statements) checkPlans(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "test.db"))
	tables := map[string]bool{}
	for _, row := range queryLines(t, s, `SELECT name FROM sqlite_schema WHERE type = 'table'`) {
		tables[row] = true
	}
	// tableOf returns the table that a name in a statement stands for, "" if it is a
	// query of the statement's own.
	tableOf := func(statement, name string) string {
		if tables[name] {
			return name
		}
		for table := range tables {
			if regexp.MustCompile(`\b` + table + ` (AS )?` + name + `\b`).MatchString(statement) {
				return table
			}
		}
		return ""
	}
	if len(st.sent) < 150 {
		t.Errorf("%d statements were recorded, want at least 150", len(st.sent))
	}
	for _, statement := range slices.Sorted(maps.Keys(st.sent)) {
		args := make([]any, len(st.sent[statement]))
		for i, arg := range st.sent[statement] {
			args[i] = arg.Value
		}
		plan := queryLines(t, s, `EXPLAIN QUERY PLAN `+statement, args...)
		for _, step := range plan {
			of := readsAll.FindStringSubmatch(step)
			if of == nil || tableOf(statement, of[1]) == "" || mayScan(statement) {
				continue
			}
			t.Errorf("%s\nreads all of %s (%s):\n%s", statement, tableOf(statement, of[1]), step, strings.Join(plan, "\n"))
			break
		}
	}
}

// checkFilters fails unless searches under metadata begin with the documents that
// have it.
func (st *statements) checkFilters(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "test.db"))
	searches := 0
	for statement, args := range st.sent {
		if !strings.Contains(statement, "vec_distance_cosine") || !strings.Contains(statement, "FROM document_fields f") {
			continue
		}
		searches++
		values := make([]any, len(args))
		for i, arg := range args {
			values[i] = arg.Value
		}
		const first = `SEARCH f USING PRIMARY KEY (tenant=? AND collection=? AND field=? AND value=?)`
		if plan := queryLines(t, s, `EXPLAIN QUERY PLAN `+statement, values...); !slices.Contains(plan, first) {
			t.Errorf("%s\nis planned without %q:\n%s", statement, first, strings.Join(plan, "\n"))
		}
	}
	if searches == 0 {
		t.Error("no search began with the rows of its metadata")
	}
}

func mayScan(statement string) bool {
	for part := range mayReadAll {
		if strings.Contains(statement, part) {
			return true
		}
	}
	return false
}

// queryLines returns the last column of a query's rows.
func queryLines(t *testing.T, s *Store, query string, args ...any) []string {
	t.Helper()
	rows, err := s.writer.QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for rows.Next() {
		row := make([]any, len(columns))
		for i := range row {
			row[i] = new(any)
		}
		if err := rows.Scan(row...); err != nil {
			t.Fatal(err)
		}
		last, _ := (*row[len(row)-1].(*any)).(string)
		all = append(all, last)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// An index without statistics would be preferred to all others: see migration 16.
func TestEveryIndexHasStatistics(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "test.db"))
	for _, index := range queryLines(t, s, `
		SELECT format('%s of %s', l.name, m.name)
		FROM sqlite_schema m
		JOIN pragma_index_list(m.name) l
		WHERE m.type = 'table' AND m.name NOT LIKE 'goose%'
		  AND NOT EXISTS (SELECT 1 FROM sqlite_stat1 s
		                  WHERE s.tbl = m.name AND s.idx = iif(l.origin = 'pk', m.name, l.name)
		                    AND 1 + (SELECT count(*) FROM pragma_index_info(l.name)) = 1 + length(s.stat) - length(replace(s.stat, ' ', '')))`) {
		t.Errorf("index %s has no row, or one of another length, in sqlite_stat1", index)
	}
}

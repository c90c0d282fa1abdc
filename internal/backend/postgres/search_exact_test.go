package postgres_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
	"github.com/seed-7a112592/gristmill/internal/vector"
)

// An exact search looks at each place once, also when there are more than fit in
// work_mem, in a table that has just grown as in one whose size is known.
func TestExactSearchCostsByTheNumberOfPassages(t *testing.T) {
	t.Parallel()
	for _, analysed := range []bool{false, true} {
		few, many := rowsOfExactSearch(t, 2000, analysed), rowsOfExactSearch(t, 16000, analysed)
		if t.Logf("analysed %t: %d rows for 2,000 passages, %d for 16,000", analysed, few, many); many > few*8*3/2 {
			t.Error("that is more than half as many again for each passage")
		}
	}
}

// rowsOfExactSearch counts the rows that the parts of a plan give each other
// when a collection of one-passage documents is searched.
func rowsOfExactSearch(t *testing.T, passages int, analysed bool) (rows int64) {
	t.Helper()
	d, s, ctx, c := withCollection(t, 3)
	for _, statement := range []string{
		`INSERT INTO documents (tenant, id, collection, key, state, published_version, newest_version)
		 SELECT 'default', md5(n::text)::uuid, $1, n, 'ready', 1, 1 FROM generate_series(1, $2::int) n`,
		`INSERT INTO manifest (tenant, document, version, space, ordinal, hash, start_byte, end_byte)
		 SELECT 'default', md5(n::text)::uuid, 1, (SELECT active_space FROM collections WHERE id = $1), 0, sha256(n::text::bytea), 0, 1 FROM generate_series(1, $2::int) n`,
		fmt.Sprintf(`INSERT INTO %s (tenant, space, hash, tokens, embedding, heading_path, context, content)
		 SELECT 'default', (SELECT active_space FROM collections WHERE id = $1), sha256(n::text::bytea), 1, ARRAY[n, 1, 2]::real[]::vector::halfvec, '{}', '', 'text'
		 FROM generate_series(1, $2::int) n`, postgres.PassagesTable(c.ActiveSpace)),
	} {
		execute(t, d.owner, statement, c.ID, passages)
	}
	if analysed {
		execute(t, d.owner, "ANALYZE")
	}
	if err := s.InTenant(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SET LOCAL work_mem = '64kB'`); err != nil {
			return err
		}
		plan, err := postgres.ExplainExact(ctx, tx, c.ActiveSpace, vector.Query{Vector: []float32{1, 2, 3}, Limit: 10, Threshold: -1})
		if err != nil {
			return err
		}
		var explained []struct{ Plan planNode }
		if err := json.Unmarshal(plan, &explained); err != nil {
			return err
		}
		rows = explained[0].Plan.total()
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return rows
}

// planNode is a part of an executed plan.
type planNode struct {
	Rows     int64      `json:"Actual Rows"`
	Loops    int64      `json:"Actual Loops"`
	Filtered int64      `json:"Rows Removed by Filter"`
	Unjoined int64      `json:"Rows Removed by Join Filter"`
	Parts    []planNode `json:"Plans"`
}

// total is how many rows the part and its parts have made or passed over.
func (n planNode) total() int64 {
	rows := (n.Rows + n.Filtered + n.Unjoined) * n.Loops
	for _, part := range n.Parts {
		rows += part.total()
	}
	return rows
}

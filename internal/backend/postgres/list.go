package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// listScope returns the condition for a row to be in a list of a collection, or
// of the tenant if that is "", and the statement's arguments: the id where the
// page begins first. A collection that does not exist has an empty list.
func listScope(ctx context.Context, tx pgx.Tx, collection string, from uuid.UUID) (of string, args []any, err error) {
	if collection == "" {
		return "", []any{from}, nil
	}
	var id uuid.UUID
	err = tx.QueryRow(ctx, `SELECT id FROM collections WHERE name = $1`, collection).Scan(&id)
	if isNoRows(err) {
		err = nil
	}
	return "collection = $2 AND ", []any{from, id}, err
}

// listedStates returns the states that a list shows: all, or the one that it is
// narrowed to.
func listedStates[S ~string](all []S, only S) []S {
	return slices.DeleteFunc(slices.Clone(all), func(s S) bool { return only != "" && s != only })
}

// newestFirstQuery begins a statement on a page of at most limit rows of a table, before
// the id $1, newest first.
func newestFirstQuery[S ~string](table, of string, states []S, limit int) string {
	return mergeStatesQuery(states, `
		SELECT id
		FROM `+table+`
		WHERE `+of+` (state, id) < ('$state', $1) AND state >= '$state'
		ORDER BY state DESC, id DESC`, "id DESC", limit)
}

// mergeStatesQuery begins a statement with a query named page: the first rows of a list,
// which is that of each state, merged. An index holds each of these lists in
// order.
//
// They compare and sort by rows that begin with the state. PostgreSQL could walk
// along the primary key as well if the state were compared by itself, and would,
// where it expects a row in every few of those that it passes to be in the list:
// but all of them may come after a million others. And the limit is literal, so
// that a plan for any arguments knows it.
func mergeStatesQuery[S ~string](states []S, list, order string, limit int) string {
	if len(states) == 0 {
		states = []S{""} // which no row is in
	}
	lists := make([]string, len(states))
	for i, state := range states {
		lists[i] = fmt.Sprintf("(%s LIMIT %d)", strings.ReplaceAll(list, "$state", string(state)), limit)
	}
	return fmt.Sprintf(`
		WITH page AS MATERIALIZED (
			SELECT id FROM (%s) AS lists ORDER BY %s LIMIT %d
		)`, strings.Join(lists, " UNION ALL "), order, limit)
}

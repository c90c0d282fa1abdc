package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// listScope returns the condition for a row to be in a list of a collection, ?4,
// or of the tenant if that is "". A collection that does not exist has an empty
// list.
func listScope(ctx context.Context, tx transaction, collection string) (of string, id uuid.UUID, err error) {
	if collection == "" {
		return "?4 = ?4 AND ", id, nil
	}
	err = tx.QueryRowContext(ctx, `
		SELECT id FROM collections WHERE tenant = ?1 AND name = ?2`, tx.tenant, collection).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return "collection = ?4 AND ", id, err
}

// listedStates returns the states that a list shows: all, or the one that it is
// narrowed to.
func listedStates[S ~string](all []S, only S) []S {
	return slices.DeleteFunc(slices.Clone(all), func(s S) bool { return only != "" && s != only })
}

// newestFirstQuery begins a statement on a page of at most ?3 rows of a table, before the
// id ?2, newest first.
func newestFirstQuery[S ~string](table, of string, states []S) string {
	return mergeStatesQuery(states, `
		SELECT id
		FROM `+table+`
		WHERE `+of+` tenant = ?1 AND state = '$state' AND id < ?2
		ORDER BY id DESC`, "id DESC")
}

// mergeStatesQuery begins a statement with a query named page: the first rows of a list,
// which is that of each state, merged. An index holds each of these lists in
// order.
func mergeStatesQuery[S ~string](states []S, list, order string) string {
	if len(states) == 0 {
		states = []S{""} // which no row is in
	}
	lists := make([]string, len(states))
	for i, state := range states {
		lists[i] = "SELECT * FROM (" + strings.ReplaceAll(list, "$state", string(state)) + " LIMIT ?3)"
	}
	return `
		WITH page AS MATERIALIZED (
			SELECT id FROM (` + strings.Join(lists, " UNION ALL ") + `) ORDER BY ` + order + ` LIMIT ?3
		)`
}

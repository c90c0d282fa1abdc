package sqlite

import (
	"database/sql/driver"
	"fmt"

	"modernc.org/sqlite"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// normalKey is the SQL function normal_key(key), for the migration that brings
// keys into their normal form.
func normalKey(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
	key, ok := args[0].(string)
	if !ok {
		return nil, fmt.Errorf("normal_key: want text, got %T", args[0])
	}
	return document.NormaliseKey(key), nil
}

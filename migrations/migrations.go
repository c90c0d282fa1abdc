// Package migrations has the numbered SQL files that create and change the tables of both stores. No
// other code creates tables.
package migrations

import (
	"embed"
	"io/fs"
)

//go:embed postgres/*.sql sqlite/*.sql
var files embed.FS

// Postgres returns the migrations of the PostgreSQL store, for goose.
func Postgres() fs.FS { return directory("postgres") }

// SQLite returns the migrations of the SQLite store, for goose.
func SQLite() fs.FS { return directory("sqlite") }

func directory(name string) fs.FS {
	sub, err := fs.Sub(files, name)
	if err != nil {
		panic(err) // only if name is not a valid path
	}
	return sub
}

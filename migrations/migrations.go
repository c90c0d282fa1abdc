// Package migrations holds the numbered SQL that makes and changes the tables
// of both stores. Nothing else makes tables.
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
		panic(err) // only for a name that is no path
	}
	return sub
}

// Package sqlite keeps Gristmill's rows in one SQLite database: documents,
// passages with their vectors, jobs and tasks. It is the store of a single
// process and needs nothing installed.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite/vec" // vec_distance_cosine

	"github.com/seed-7a112592/gristmill/internal/required"
	"github.com/seed-7a112592/gristmill/migrations"
)

// Config says which database to open.
type Config struct {
	Path string // of the database file; made if missing, its directory is not

	// MaxCollections is how many collections a tenant may have; 0 for any number.
	MaxCollections int `zero:"ok"`

	Log *slog.Logger
}

// Store is a SQLite database. It is safe for concurrent use: reads run beside
// each other and beside the one write that runs at a time.
type Store struct {
	path    string
	lock    *databaseLock
	writer  *sql.DB // one connection, so that writers queue here and not in SQLite
	readers *sql.DB // cannot write

	maxCollections int

	mu        sync.Mutex
	heldLocks map[string]bool // names that Exclusively is running under
}

// Open opens the database, brings its tables up to date, and keeps other
// processes out of it until Close: a database that another process has open
// is fault.Conflict.
func Open(ctx context.Context, cfg Config) (_ *Store, err error) {
	if err := required.Fields(cfg); err != nil {
		return nil, err
	}
	defer wrapError(&err, "open database %s", cfg.Path)
	s := &Store{path: cfg.Path, maxCollections: cfg.MaxCollections, heldLocks: map[string]bool{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()

	if s.lock, err = lockDatabase(cfg.Path); err != nil {
		return nil, err
	}
	if s.writer, err = openPool(cfg.Path, writerParameters, 1); err != nil {
		return nil, err
	}
	if err := migrate(ctx, s.writer, cfg.Log); err != nil {
		return nil, err
	}
	if s.readers, err = openPool(cfg.Path, readerParameters, max(4, runtime.GOMAXPROCS(0))); err != nil {
		return nil, err
	}
	return s, nil
}

// Close ends the store's use of the database; closing again does nothing. The
// writer goes last but for the lock: SQLite then folds the write-ahead log
// into the database file.
func (s *Store) Close() error {
	var errs []error
	if s.readers != nil {
		errs = append(errs, s.readers.Close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.release())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close database %s: %w", s.path, err)
	}
	return nil
}

// Ping reports whether the database can be read.
func (s *Store) Ping(ctx context.Context) (err error) {
	defer wrapError(&err, "ping database %s", s.path)
	var tenants int
	return s.readers.QueryRowContext(ctx, `SELECT count(*) FROM tenants`).Scan(&tenants)
}

func migrate(ctx context.Context, db *sql.DB, log *slog.Logger) error {
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, migrations.SQLite(),
		goose.WithDisableGlobalRegistry(true), goose.WithSlog(log))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

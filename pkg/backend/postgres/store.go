// Package postgres keeps Gristmill's rows in PostgreSQL: documents, passages
// with their vectors, jobs and tasks. What a tenant may see is enforced there,
// by row-level security on a role that cannot switch it off.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	pgvectorpgx "github.com/pgvector/pgvector-go/pgx"
)

const (
	defaultMaxConns = 10
	connectTimeout  = 5 * time.Second
)

// Config says which database to use, and how.
type Config struct {
	URL      string // of the application role, as postgres://user:password@host:port/database
	MaxConns int    // most connections at a time, at least 2; 0 for 10

	// IndexURL is of the role that builds vector indexes. Without it none is
	// built. IndexWorkers is how many processes of the server help the one that
	// builds.
	IndexURL     string
	IndexWorkers int

	Log *slog.Logger
}

// Store is a PostgreSQL database. It is safe for concurrent use.
type Store struct {
	pool    *pgxpool.Pool
	log     *slog.Logger
	timeout time.Duration // of a transaction

	indexURL     string
	indexWorkers int
}

// Open returns the store. It connects when it is first used: until the
// database can be reached, calls answer fault.Unavailable.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	config, err := pgxpool.ParseConfig(cfg.URL)
	if err != nil {
		return nil, errBadURL
	}
	if cfg.MaxConns == 1 {
		return nil, errors.New("open database: 1 connection is too few: Exclusively holds one while its work uses others")
	}
	config.MaxConns = defaultMaxConns
	if cfg.MaxConns > 0 {
		config.MaxConns = int32(cfg.MaxConns)
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	config.AfterConnect = prepare
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	return &Store{pool: pool, log: cfg.Log, timeout: transactionTimeout, indexURL: cfg.IndexURL, indexWorkers: cfg.IndexWorkers}, nil
}

// Close ends the store's use of the database, once calls under way are done.
func (s *Store) Close() { s.pool.Close() }

// Ping reports whether the database can be used: it answers, and a new
// connection would be taken (see prepare).
func (s *Store) Ping(ctx context.Context) (err error) {
	defer describe(&err, "ping database")
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	return checkStatus(ctx, conn.Conn())
}

// prepare makes a new connection ready, and refuses a database that is not
// migrated and a role that row-level security does not bind. No statement of
// the store ever runs on such a connection.
func prepare(ctx context.Context, conn *pgx.Conn) error {
	if err := checkStatus(ctx, conn); err != nil {
		return err
	}
	if err := pgvectorpgx.RegisterTypes(ctx, conn); err != nil {
		return withLoss(conn, fmt.Errorf("register pgvector's types: %w", err))
	}
	return nil
}

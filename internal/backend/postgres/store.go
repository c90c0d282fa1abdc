// Package postgres keeps Gristmill's rows in PostgreSQL: documents, passages
// with their vectors, jobs and tasks. What a tenant may see is enforced there,
// by row-level security on a role that cannot switch it off.
package postgres

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	pgvectorpgx "github.com/pgvector/pgvector-go/pgx"

	"github.com/seed-7a112592/gristmill/internal/required"
	"github.com/seed-7a112592/gristmill/internal/telemetry"
)

const (
	defaultMaxConns = 10
	connectTimeout  = 5 * time.Second

	// maxSessions is the most connections that hold a lock for as long as they
	// last (see Exclusively), and sessionIdle how long one stays open unused.
	maxSessions        = 8
	sessionIdleTimeout = time.Minute
)

// Config says which database to use, and how.
type Config struct {
	URL      string // of the application role, as postgres://user:password@host:port/database
	MaxConns int    `zero:"ok"` // most connections for transactions at a time; 0 for 10

	// DirectURL is of the same role, past a pooler that URL may lead through;
	// "" where there is none. A few connections hold sessions of their own.
	DirectURL string `zero:"ok"`

	// IndexURL is of the role that builds vector indexes. Without it none is
	// built. IndexWorkers is how many processes of the server help the one that
	// builds.
	IndexURL     string `zero:"ok"`
	IndexWorkers int    `zero:"ok"`

	// Recall is which share of the nearest passages a search along an index is
	// to find; 0 for 0.95.
	Recall float64 `zero:"ok"`

	// MaxCollections is how many collections a tenant may have; 0 for any number.
	MaxCollections int `zero:"ok"`

	Log *slog.Logger
}

// Store is a PostgreSQL database. It is safe for concurrent use.
type Store struct {
	pool      *pgxpool.Pool // for transactions
	sessions  *pgxpool.Pool // for what lasts longer
	processID int64         // names this process, see Attend

	log     *slog.Logger
	timeout time.Duration // of a transaction

	indexURL     string
	indexWorkers int
	recall       float64

	maxCollections int
}

// Open returns the store. It connects when it is first used: until the
// database can be reached, calls answer fault.Unavailable.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if err := required.Fields(cfg); err != nil {
		return nil, err
	}
	config, err := parsePoolConfig(cfg.URL)
	if err != nil {
		return nil, err
	}
	config.MaxConns = defaultMaxConns
	if cfg.MaxConns > 0 {
		config.MaxConns = int32(cfg.MaxConns)
	}
	config.BeforeConnect = new(poolerDetector).beforeConnect
	config.AfterConnect = preparePoolConn
	direct := cfg.DirectURL
	if direct == "" {
		direct = cfg.URL
	}
	sessions, err := parsePoolConfig(direct)
	if err != nil {
		return nil, err
	}
	sessions.MaxConns, sessions.MaxConnIdleTime = maxSessions, sessionIdleTimeout
	sessions.AfterConnect = prepareSessionConn
	s := &Store{
		processID: rand.Int64(), log: cfg.Log, timeout: transactionTimeout,
		indexURL: cfg.IndexURL, indexWorkers: cfg.IndexWorkers, recall: cmp.Or(cfg.Recall, defaultRecall),
		maxCollections: cfg.MaxCollections,
	}
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if s.sessions, err = pgxpool.NewWithConfig(ctx, sessions); err != nil {
		s.pool.Close()
		return nil, fmt.Errorf("open database: %w", err)
	}
	return s, nil
}

func parsePoolConfig(url string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errBadURL
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	return config, nil
}

// Close ends the store's use of the database, once calls under way are done.
func (s *Store) Close() {
	s.sessions.Close()
	s.pool.Close()
}

// Ping reports whether the database can be used: it answers, and a new
// connection would be taken (see prepare).
func (s *Store) Ping(ctx context.Context) (err error) {
	defer wrapError(&err, "ping database")
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	return checkStatus(ctx, conn.Conn())
}

// PingSession reports whether a session of the database's own can be had: it is
// Exclusively's.
func (s *Store) PingSession(ctx context.Context) (err error) {
	defer wrapError(&err, "ping database for a session")
	return s.sessions.Ping(ctx)
}

// Pools returns the state of the store's pools of connections.
func (s *Store) Pools() []telemetry.PoolStats {
	return []telemetry.PoolStats{poolState("transactions", s.pool.Stat()), poolState("sessions", s.sessions.Stat())}
}

func poolState(name string, stat *pgxpool.Stat) telemetry.PoolStats {
	return telemetry.PoolStats{
		Name:  name,
		InUse: int(stat.AcquiredConns()), Idle: int(stat.IdleConns()), Max: int(stat.MaxConns()),
		WaitCount: stat.EmptyAcquireCount(), WaitDuration: stat.EmptyAcquireWaitTime(),
	}
}

// prepareSessionConn refuses what prepare does, and a pooler.
func prepareSessionConn(ctx context.Context, conn *pgx.Conn) error {
	if err := checkNoPooler(ctx, conn, directSetting); err != nil {
		return err
	}
	return checkStatus(ctx, conn)
}

// preparePoolConn makes a new connection ready, and refuses a database that is not
// migrated and a role that row-level security does not bind. No statement of
// the store ever runs on such a connection.
func preparePoolConn(ctx context.Context, conn *pgx.Conn) error {
	if err := checkStatus(ctx, conn); err != nil {
		return err
	}
	if err := pgvectorpgx.RegisterTypes(ctx, conn); err != nil {
		return markConnectionLost(conn, fmt.Errorf("register pgvector's types: %w", err))
	}
	return registerVectors(conn)
}

package postgres

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// PingIndexer reports whether vector indexes can be built: there is a role for
// it, and it can do that and no more.
func (s *Store) PingIndexer(ctx context.Context) (err error) {
	defer describe(&err, "ping database as the role of index builds")
	conn, err := s.connectIndexer(ctx)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// connectIndexer returns a connection outside of the pool, as the role that owns
// the partitions. What runs on it is cancelled on the server when its context
// ends.
func (s *Store) connectIndexer(ctx context.Context) (*pgx.Conn, error) {
	const invalidAuthorization = "28" // class of SQLSTATEs
	if s.indexURL == "" {
		return nil, fault.New(fault.Misconfigured, "no vector index is built, and large spaces are searched exactly: "+
			"set %s to a role of its own and run `gristmill migrate`, which makes it", indexing.setting)
	}
	config, err := parseAsOwner(s.indexURL)
	if err != nil {
		return nil, fault.Wrap(fault.Misconfigured, err, "%s: database URL does not parse", indexing.setting)
	}
	config.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: rollbackTimeout}
	}
	config.OnNotice = func(_ *pgconn.PgConn, notice *pgconn.Notice) {
		if strings.Contains(notice.Message, "no longer fits into maintenance_work_mem") {
			s.log.WarnContext(ctx, "a vector index takes ten times as long to build from here on: raise maintenance_work_mem of its role", "reason", notice.Message)
		}
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if strings.HasPrefix(sqlState(err), invalidAuthorization) {
		return nil, fault.Wrap(fault.Misconfigured, err, "no vector index is built: the database refuses the role %q of %s: "+
			"run `gristmill migrate`, which makes it and gives it its password", config.User, indexing.setting)
	}
	if err != nil {
		return nil, err
	}
	err = checkDirect(ctx, conn, indexing.setting)
	var role rights
	if err == nil {
		role, err = readRights(ctx, conn, "", indexing)
	}
	if err == nil && !role.member {
		err = fault.New(fault.Misconfigured, "no vector index is built: database role %q is no member of %s: "+
			"run `gristmill migrate` with the same %s", role.role, indexing.group, indexing.setting)
	}
	if err == nil && role.excess != nil {
		err = fault.New(fault.Misconfigured, "no vector index is built: %v", role.excess)
	}
	if err != nil {
		err = withLoss(conn, err)
		conn.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	return conn, nil
}

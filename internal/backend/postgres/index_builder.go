package postgres

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

// PingIndexBuilder reports whether vector indexes can be built: there is a role for
// it, and it can do that and no more.
func (s *Store) PingIndexBuilder(ctx context.Context) (err error) {
	defer wrapError(&err, "ping database as the role of index builds")
	conn, err := s.connectIndexBuilder(ctx)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// connectIndexBuilder returns a connection outside of the pool, as the role that owns
// the partitions. What runs on it is cancelled on the server when its context
// ends.
func (s *Store) connectIndexBuilder(ctx context.Context) (*pgx.Conn, error) {
	const invalidAuthorization = "28" // class of SQLSTATEs
	if s.indexURL == "" {
		return nil, fault.New(fault.Misconfigured, "no vector index is built, and large spaces are searched exactly: "+
			"set %s to a role of its own and run `gristmill migrate`, which makes it", indexPurpose.setting)
	}
	config, err := parseOwnerConfig(s.indexURL)
	if err != nil {
		return nil, fault.Wrap(fault.Misconfigured, err, "%s: database URL does not parse", indexPurpose.setting)
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
			"run `gristmill migrate`, which makes it and gives it its password", config.User, indexPurpose.setting)
	}
	if err != nil {
		return nil, err
	}
	err = checkNoPooler(ctx, conn, indexPurpose.setting)
	var role rolePrivileges
	if err == nil {
		role, err = readPrivileges(ctx, conn, "", indexPurpose)
	}
	if err == nil && !role.member {
		err = fault.New(fault.Misconfigured, "no vector index is built: database role %q is no member of %s: "+
			"run `gristmill migrate` with the same %s", role.role, indexPurpose.group, indexPurpose.setting)
	}
	if err == nil && role.excess != nil {
		err = fault.New(fault.Misconfigured, "no vector index is built: %v", role.excess)
	}
	if err != nil {
		err = markConnectionLost(conn, err)
		conn.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	return conn, nil
}

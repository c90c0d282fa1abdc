package postgres

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

// directSetting names what reaches the database past a pooler.
const directSetting = "GRISTMILL_DATABASE_DIRECT_URL"

// isPooled reports whether a connection goes through a pooler such as PgBouncer,
// which gives each client a process number of its own making: the server's may
// be another one with each transaction.
func isPooled(ctx context.Context, conn *pgx.Conn) (bool, error) {
	var pid uint32
	if err := conn.QueryRow(ctx, `SELECT pg_backend_pid()`, pgx.QueryExecModeSimpleProtocol).Scan(&pid); err != nil {
		return false, markConnectionLost(conn, err)
	}
	return pid != conn.PgConn().PID(), nil
}

// checkNoPooler fails where a pooler would give a session's locks to others.
func checkNoPooler(ctx context.Context, conn *pgx.Conn, setting string) error {
	through, err := isPooled(ctx, conn)
	if err == nil && through {
		err = fault.New(fault.Misconfigured, "a connection pooler stands before the database, and what has to hold a session does not work through it: "+
			"set %s to the address of the database itself", setting)
	}
	return err
}

// poolerDetector finds out once whether a pooler stands before the database.
type poolerDetector struct {
	mu     sync.Mutex
	known  bool
	pooled bool
}

// beforeConnect has a connection through a pooler prepare nothing: the next
// transaction may run in another process of the server, which does not know what
// was prepared. An execution mode that the URL names is left alone.
func (p *poolerDetector) beforeConnect(ctx context.Context, config *pgx.ConnConfig) error {
	if config.DefaultQueryExecMode != pgx.QueryExecModeCacheStatement {
		return nil
	}
	found, err := p.detect(ctx, config)
	if found {
		config.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	return err
}

func (p *poolerDetector) detect(ctx context.Context, config *pgx.ConnConfig) (found bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known {
		return p.pooled, nil
	}
	conn, err := pgx.ConnectConfig(ctx, config.Copy())
	if err != nil {
		return false, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if p.pooled, err = isPooled(ctx, conn); err != nil {
		return false, err
	}
	p.known = true
	return p.pooled, nil
}

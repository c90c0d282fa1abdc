package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	pgvectorpgx "github.com/pgvector/pgvector-go/pgx"

	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/internal/test/standalone"
)

// database is one database of a series.
type database struct {
	*standalone.TB
	installation *program.Installation
	size         int
	smallest     int // smallest size in the series

	ctx   context.Context // of the default tenant
	owner *pgx.Conn       // as the superuser
	store *postgres.Store

	sharedServerConn *pgx.Conn // see serverConn
	fixture          fixture
}

// newDatabase creates a database with the product's tables and fills it. It is removed when p ends.
// If bin is a directory with programs of another commit, the database has their tables, and d.store
// is nil.
func newDatabase(p *standalone.TB, bin string, size, smallest int, fill func(*database)) *database {
	d := &database{TB: p, size: size, smallest: smallest, ctx: tenant.With(p.Context(), tenant.Default)}
	environment := []string{
		"GRISTMILL_EMBEDDING_DIMENSIONS=" + strconv.Itoa(dimensions),
		// Switches off index builds, verification and backlog limits, which would disturb the
		// measurement.
		"GRISTMILL_INDEX_THRESHOLD=2000000000", "GRISTMILL_VERIFY_BYTES_PER_SECOND=0", "GRISTMILL_MAX_QUEUED_JOBS=1000000000",
		"GRISTMILL_MAX_QUEUED_BYTES=1000000000000000",
	}
	if bin != "" {
		d.installation = program.NewInstallationFrom(p, bin, environment...)
	} else {
		d.installation = program.NewInstallation(p, environment...)
	}
	d.owner = d.installation.Connect()
	p.Cleanup(func() { d.owner.Close(context.WithoutCancel(p.Context())) })
	d.must(pgvectorpgx.RegisterTypes(d.ctx, d.owner))
	if bin == "" {
		d.store = d.openStore(connections)
		p.Cleanup(func() { d.store.Close() })
		d.collectAll() // removes the garbage entry of a new database
	}
	begin := time.Now()
	fill(d)
	d.exec("VACUUM (ANALYZE)")
	d.exec("CHECKPOINT")
	var bytes int64
	d.must(d.owner.QueryRow(d.ctx, "SELECT pg_database_size(current_database())").Scan(&bytes))
	fmt.Printf("    %s created in %.0f s: %s MB\n", formatCount(size), time.Since(begin).Seconds(), formatCount(int(bytes/1e6)))
	return d
}

// connections is the number of connections of a store, except where one is required.
const connections = 4

// openStore returns a store with at most maxConns connections.
func (d *database) openStore(maxConns int) *postgres.Store {
	store, err := postgres.Open(d.ctx, postgres.Config{
		URL: d.installation.AppURL, IndexURL: d.installation.IndexURL, MaxConns: maxConns, Log: slog.New(slog.DiscardHandler),
	})
	d.must(err)
	return store
}

func (d *database) must(err error) {
	if err != nil {
		d.Fatalf("%s: %w", formatCount(d.size), err)
	}
}

// exec runs a statement as the superuser.
func (d *database) exec(statement string, args ...any) int64 {
	tag, err := d.owner.Exec(d.ctx, statement, args...)
	if err != nil {
		d.Fatalf("%s: %s: %w", formatCount(d.size), statement, err)
	}
	return tag.RowsAffected()
}

// queryTexts runs a query as the superuser and returns its result, a column of texts.
func (d *database) queryTexts(query string, args ...any) []string {
	rows, err := d.owner.Query(d.ctx, query, args...)
	d.must(err)
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		d.Fatalf("%s: %s: %w", formatCount(d.size), query, err)
	}
	return texts
}

// queryBool runs a query as the superuser and returns its result, a boolean.
func (d *database) queryBool(query string, args ...any) (is bool) {
	if err := d.owner.QueryRow(d.ctx, query, args...).Scan(&is); err != nil {
		d.Fatalf("%s: %s: %w", formatCount(d.size), query, err)
	}
	return is
}

// pagesPerRun returns the number of pages that one run of a call reads, from the server's cache or
// not. It compares many runs on one connection with few, so that the pages that a new connection
// reads from the catalogue do not count.
func (d *database) pagesPerRun(run func()) float64 {
	const few, many = 5, 25
	d.store.Close()
	defer func() { d.store = d.openStore(connections) }()
	d.exec("SELECT pg_stat_force_next_flush()")
	pages := func(runs int) int64 {
		before := d.pagesTouched()
		d.store = d.openStore(1)
		for range runs {
			run()
		}
		d.store.Close()
		return d.pagesTouched() - before
	}
	first := pages(few)
	return max(0, float64(pages(many)-first)/(many-few))
}

// pagesTouched returns the number of pages read in the database so far. PostgreSQL counts the pages
// of a connection when it ends, so this waits for the store's connections to end.
func (d *database) pagesTouched() (pages int64) {
	name, app := databaseOf(d, d.installation.OwnerURL), roleOf(d, d.installation.AppURL)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		var open int
		d.must(d.serverConn().QueryRow(d.ctx, `
			SELECT count(*), (SELECT blks_hit + blks_read FROM pg_stat_database WHERE datname = $1)
			FROM pg_stat_activity WHERE datname = $1 AND usename = $2`, name, app).Scan(&open, &pages))
		if open == 0 {
			return pages
		}
		select {
		case <-tick.C:
		case <-d.ctx.Done():
			d.Fatal(d.ctx.Err())
		}
	}
}

// serverConn returns a connection to the database postgres on the same server, so that its own
// reads do not count.
func (d *database) serverConn() *pgx.Conn {
	if d.sharedServerConn == nil {
		address, err := url.Parse(d.installation.OwnerURL)
		d.must(err)
		address.Path = "/postgres"
		d.sharedServerConn, err = pgx.Connect(d.ctx, address.String())
		d.must(err)
		d.Cleanup(func() { d.sharedServerConn.Close(context.WithoutCancel(d.ctx)) })
	}
	return d.sharedServerConn
}

func databaseOf(d *database, address string) string {
	u, err := url.Parse(address)
	d.must(err)
	return u.Path[1:]
}

func roleOf(d *database, address string) string {
	u, err := url.Parse(address)
	d.must(err)
	return u.User.Username()
}

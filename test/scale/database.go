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

// database is one of a series.
type database struct {
	*standalone.TB
	site     *program.Installation
	size     int
	smallest int // size of the series

	ctx   context.Context // of the default tenant
	owner *pgx.Conn       // as the superuser
	store *postgres.Store

	sharedServerConn *pgx.Conn // see server
	fixture          fixture
}

// newDatabase makes a database with the tables that the product makes, and
// fills it. It is removed with the part. With a directory of programs of another
// commit it has their tables, and no store.
func newDatabase(p *standalone.TB, bin string, size, smallest int, fill func(*database)) *database {
	d := &database{TB: p, size: size, smallest: smallest, ctx: tenant.With(p.Context(), tenant.Default)}
	environment := []string{
		"GRISTMILL_EMBEDDING_DIMENSIONS=" + strconv.Itoa(dimensions),
		// Of what is measured nothing is indexed, compared or refused meanwhile.
		"GRISTMILL_INDEX_THRESHOLD=2000000000", "GRISTMILL_VERIFY_BYTES_PER_SECOND=0", "GRISTMILL_MAX_QUEUED_JOBS=1000000000",
		"GRISTMILL_MAX_QUEUED_BYTES=1000000000000000",
	}
	if bin != "" {
		d.site = program.NewInstallationFrom(p, bin, environment...)
	} else {
		d.site = program.NewInstallation(p, environment...)
	}
	d.owner = d.site.Connect()
	p.Cleanup(func() { d.owner.Close(context.WithoutCancel(p.Context())) })
	d.must(pgvectorpgx.RegisterTypes(d.ctx, d.owner))
	if bin == "" {
		d.store = d.openStore(connections)
		p.Cleanup(func() { d.store.Close() })
		d.collectAll() // of nothing
	}
	begin := time.Now()
	fill(d)
	d.exec("VACUUM (ANALYZE)")
	d.exec("CHECKPOINT")
	var bytes int64
	d.must(d.owner.QueryRow(d.ctx, "SELECT pg_database_size(current_database())").Scan(&bytes))
	fmt.Printf("    %s made in %.0f s: %s MB\n", formatCount(size), time.Since(begin).Seconds(), formatCount(int(bytes/1e6)))
	return d
}

// connections is how many a store has, unless it is to have one.
const connections = 4

// openStore returns a store of the database with that many connections.
func (d *database) openStore(most int) *postgres.Store {
	store, err := postgres.Open(d.ctx, postgres.Config{
		URL: d.site.AppURL, IndexURL: d.site.IndexURL, MaxConns: most, Log: slog.New(slog.DiscardHandler),
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

// queryTexts returns what a query answers, as the superuser.
func (d *database) queryTexts(query string, args ...any) []string {
	rows, err := d.owner.Query(d.ctx, query, args...)
	d.must(err)
	texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		d.Fatalf("%s: %s: %w", formatCount(d.size), query, err)
	}
	return texts
}

// queryBool returns what a query answers, as the superuser.
func (d *database) queryBool(query string, args ...any) (is bool) {
	if err := d.owner.QueryRow(d.ctx, query, args...).Scan(&is); err != nil {
		d.Fatalf("%s: %s: %w", formatCount(d.size), query, err)
	}
	return is
}

// pagesPerRun returns how many pages one run of a call touches, found in the server's
// cache or not: of many runs on one connection less few, so that what a new
// connection reads of the catalogue does not count.
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

// pagesTouched returns how many pages were touched in the database. Those of a
// connection count when it ends, so the store's are waited for.
func (d *database) pagesTouched() (pages int64) {
	name, app := databaseOf(d, d.site.OwnerURL), roleOf(d, d.site.AppURL)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		var there int
		d.must(d.serverConn().QueryRow(d.ctx, `
			SELECT count(*), (SELECT blks_hit + blks_read FROM pg_stat_database WHERE datname = $1)
			FROM pg_stat_activity WHERE datname = $1 AND usename = $2`, name, app).Scan(&there, &pages))
		if there == 0 {
			return pages
		}
		select {
		case <-tick.C:
		case <-d.ctx.Done():
			d.Fatal(d.ctx.Err())
		}
	}
}

// serverConn returns a connection to the database postgres of the server, where what
// it does does not count.
func (d *database) serverConn() *pgx.Conn {
	if d.sharedServerConn == nil {
		address, err := url.Parse(d.site.OwnerURL)
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

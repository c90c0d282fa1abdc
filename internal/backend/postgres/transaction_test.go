package postgres_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

var errTest = errors.New("test")

func TestTransactionsRefuseToRunForNobody(t *testing.T) {
	t.Parallel()
	s := &postgres.Store{} // without connections: it must not get that far
	for name, ctx := range map[string]context.Context{
		"no tenant":         t.Context(),
		"ill-formed tenant": tenant.With(t.Context(), "a', true); DROP TABLE documents; --"),
	} {
		if err := s.InTenant(ctx, func(pgx.Tx) error { return errTest }); err == nil || errors.Is(err, errTest) {
			t.Errorf("%s: got %v, want it refused", name, err)
		}
	}
}

// Whatever becomes of a transaction, the next user of its connection finds
// neither its tenant nor, unless it was committed, its rows.
func TestTransactionsLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	ctx := tenant.With(t.Context(), tenant.Default)
	insert := func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO section_summaries (node, summary) VALUES (sha256($1), '')", []byte(t.Name()))
		return err
	}
	send := func(tx pgx.Tx, more ...string) error {
		var batch pgx.Batch
		batch.Queue("INSERT INTO section_summaries (node, summary) VALUES (sha256($1), '')", []byte(t.Name()))
		for _, statement := range more {
			batch.Queue(statement)
		}
		return tx.SendBatch(ctx, &batch).Close()
	}
	for _, test := range []struct {
		name string
		fn   func(tx pgx.Tx) error
		kept int // rows
	}{
		{"error", func(tx pgx.Tx) error { return errors.Join(insert(tx), errTest) }, 0},
		{"panic", func(tx pgx.Tx) error { panic(insert(tx)) }, 0},
		{"failing statement", func(tx pgx.Tx) error { _, err := tx.Exec(ctx, "SELECT 1/0"); return err }, 0},
		{"lost connection", func(tx pgx.Tx) error {
			return errors.Join(insert(tx), tx.Conn().Close(context.Background()), errTest)
		}, 0},
		{"batch", func(tx pgx.Tx) error { return errors.Join(send(tx), errTest) }, 0},
		{"failing batch", func(tx pgx.Tx) error { return send(tx, "SELECT 1/0") }, 0},
		{"batch on a lost connection", func(tx pgx.Tx) error {
			return errors.Join(tx.Conn().Close(context.Background()), send(tx), errTest)
		}, 0},
		{"commit", insert, 1},
	} {
		func() {
			defer func() { _ = recover() }()
			if err := s.InTenant(ctx, test.fn); (err == nil) != (test.kept > 0) {
				t.Errorf("%s: got %v", test.name, err)
			}
		}()
		var left string
		if err := s.QueryPooledConn(ctx, "SELECT coalesce(current_setting('gristmill.tenant', true), '')", &left); err != nil || left != "" {
			t.Errorf("%s: the next user of the connection is tenant %q, %v", test.name, left, err)
		}
		if rows := countRows(t, ctx, s, "section_summaries"); rows != test.kept {
			t.Errorf("%s: %d rows are there, want %d", test.name, rows, test.kept)
		}
	}
}

// What goes with the commit, and what is sent in one round trip, is a transaction
// of the tenant like any other.
func TestTransactionsOfFewRoundTrips(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	ctx := tenant.With(t.Context(), tenant.Default)
	const insert = "INSERT INTO section_summaries (node, summary) VALUES (sha256($1), '')"
	for _, test := range []struct {
		name  string
		batch []string
		kept  int // rows
	}{
		{"failing", []string{"SELECT 1/0"}, 0},
		{"committed", nil, 1},
	} {
		queue := func(node string) func(batch *pgx.Batch) {
			return func(batch *pgx.Batch) {
				batch.Queue(insert, []byte(node))
				for _, statement := range test.batch {
					batch.Queue(statement)
				}
			}
		}
		for trip, run := range map[string]func() error{
			"one trip":        func() error { return s.InOneTrip(ctx, queue("one trip")) },
			"with the commit": func() error { return s.InTenantCommitBatch(ctx, queue("with the commit")) },
		} {
			before := countRows(t, ctx, s, "section_summaries")
			if err := run(); (err == nil) != (test.kept > 0) {
				t.Errorf("%s, %s: got %v", trip, test.name, err)
			}
			var left string
			if err := s.QueryPooledConn(ctx, "SELECT coalesce(current_setting('gristmill.tenant', true), '')", &left); err != nil || left != "" {
				t.Errorf("%s, %s: the next user of the connection is tenant %q, %v", trip, test.name, left, err)
			}
			if rows := countRows(t, ctx, s, "section_summaries") - before; rows != test.kept {
				t.Errorf("%s, %s: %d rows are there, want %d", trip, test.name, rows, test.kept)
			}
		}
	}
	if err := s.InOneTrip(t.Context(), func(*pgx.Batch) {}); err == nil {
		t.Error("a round trip for nobody was made")
	}
}

func TestUnreachableDatabaseIsUnavailable(t *testing.T) {
	t.Parallel()
	d := preparedDatabase(t)
	d.migrate(t)
	s := d.open(t)
	ctx := tenant.With(t.Context(), tenant.Default)
	if err := s.Ping(ctx); err != nil {
		t.Fatal(err)
	}

	// Killed in the middle of a transaction, and once more between two.
	err := s.InTenant(ctx, func(tx pgx.Tx) error {
		var pid int
		if err := tx.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&pid); err != nil {
			return err
		}
		execute(t, d.owner, "SELECT pg_terminate_backend($1, 5000)", pid)
		_, err := tx.Exec(ctx, "SELECT 1")
		return err
	})
	if err == nil {
		t.Fatal("a statement succeeded on a killed connection")
	}
	if _, err := s.Documents(ctx, document.DocumentFilter{}, document.Page{Limit: 1}); err != nil {
		t.Errorf("a new connection: %v", err)
	}

	execute(t, d.owner, "ALTER ROLE "+d.role+" CONNECTION LIMIT 0")
	execute(t, d.owner, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = $1", d.role)
	_, err = s.Documents(ctx, document.DocumentFilter{}, document.Page{Limit: 1})
	wantUnavailable(t, err)
	wantUnavailable(t, s.Ping(ctx))

	nowhere, err := postgres.Open(ctx, postgres.Config{URL: "postgres://u:hunter2@127.0.0.1:1/d", Log: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer nowhere.Close()
	wantUnavailable(t, nowhere.Ping(ctx))
	_, err = nowhere.Tenants(ctx)
	wantUnavailable(t, err)
}

// A server that hangs keeps its connections open, and nobody waits for ever.
func TestTransactionThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	ctx := tenant.With(t.Context(), tenant.Default)
	if err := s.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	s.SetTimeout(time.Second)
	_, err := s.Documents(ctx, document.DocumentFilter{}, document.Page{Limit: 1})
	if err != nil {
		t.Errorf("a quick one: %v", err)
	}
	err = s.InTenant(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "SELECT pg_sleep(60)")
		return err
	})
	wantUnavailable(t, postgres.WrapError(err))
	s.SetTimeout(time.Minute)
	if _, err := s.Documents(ctx, document.DocumentFilter{}, document.Page{Limit: 1}); err != nil {
		t.Errorf("the next one: %v", err)
	}
}

// A server that is gone says nothing.
func TestSilentlyLostConnectionIsUnavailable(t *testing.T) {
	t.Parallel()
	d := preparedDatabase(t)
	d.migrate(t)
	server, err := url.Parse(d.app)
	if err != nil {
		t.Fatal(err)
	}
	cut := proxyTo(t, server, func(bool) error { return nil })
	d.app = server.String()
	s := d.open(t)
	ctx := tenant.With(t.Context(), tenant.Default)
	if err := s.Ping(ctx); err != nil {
		t.Fatal(err)
	}
	cut()
	_, err = s.Documents(ctx, document.DocumentFilter{}, document.Page{Limit: 1})
	wantUnavailable(t, err)
}

// A connection that breaks before the commit costs another one, and not the
// call; one that breaks during it leaves open what happened.
func TestTransactionOutlivesItsConnection(t *testing.T) {
	t.Parallel()
	s := openStore(t)
	ctx := tenant.With(t.Context(), tenant.Default)
	for name, test := range map[string]struct {
		breaks    int // of the connections
		atCommit  bool
		wantTries int
		fails     bool
	}{
		"once":       {breaks: 1, wantTries: 2},
		"each time":  {breaks: 100, wantTries: 3, fails: true},
		"committing": {breaks: 100, atCommit: true, wantTries: 1, fails: true},
	} {
		tries := 0
		err := s.InTenant(ctx, func(tx pgx.Tx) error {
			tries++
			if test.atCommit {
				_, err := tx.Exec(ctx, "SELECT 1")
				return errors.Join(err, tx.Conn().PgConn().Conn().Close())
			}
			if tries <= test.breaks {
				tx.Conn().PgConn().Conn().Close()
			}
			_, err := tx.Exec(ctx, "SELECT 1")
			return err
		})
		if tries != test.wantTries {
			t.Errorf("%s: tried %d times, want %d", name, tries, test.wantTries)
		}
		if test.fails {
			wantUnavailable(t, postgres.WrapError(err))
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// proxyTo has the URL lead to the same server by way of connections that cut
// cuts. watch is told whenever one side has said something, before the other hears
// of it; an error cuts that connection.
func proxyTo(t *testing.T, server *url.URL, watch func(client bool) error) (cut func()) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := server.Host
	server.Host = listener.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	context.AfterFunc(ctx, func() { listener.Close() })
	var group errgroup.Group
	group.Go(func() error {
		for {
			client, err := listener.Accept()
			if err != nil {
				return ignoreClosed(err)
			}
			backend, err := net.Dial("tcp", target)
			if err != nil {
				client.Close()
				return err
			}
			connection, end := context.WithCancel(ctx)
			pass := func(to, from net.Conn) {
				defer end()
				io.Copy(to, watchedConn{from, func() error { return watch(from == client) }})
			}
			go pass(backend, client)
			go pass(client, backend)
			group.Go(func() error {
				<-connection.Done()
				return errors.Join(client.Close(), backend.Close())
			})
		}
	})
	return func() {
		cancel()
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
	}
}

// watchedConn calls said after each read that brings something.
type watchedConn struct {
	io.Reader
	said func() error
}

func (w watchedConn) Read(p []byte) (n int, err error) {
	if n, err = w.Reader.Read(p); n > 0 {
		if err := w.said(); err != nil {
			return 0, err
		}
	}
	return n, err
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func wantUnavailable(t *testing.T, err error) {
	t.Helper()
	if !fault.Is(err, fault.Unavailable) || fault.As(err).RetryAfter < time.Second {
		t.Errorf("got %v, want it unavailable, with a time to wait", err)
	}
}

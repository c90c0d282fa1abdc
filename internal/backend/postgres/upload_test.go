package postgres_test

import (
	"bytes"
	"net"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/seed-7a112592/gristmill/internal/backend/postgres"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// When a connection breaks during the commit, nobody knows whether the document
// was accepted. Its note does: it is there, for the sweep to find the object by,
// unless the document is.
func TestNoteOfAnUncertainCommit(t *testing.T) {
	t.Parallel()
	for name, when := range map[string]cutTime{"committed": beforeAnswer, "not committed": beforeCommit} {
		arrives := when == beforeAnswer
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			direct, s, cut := openBehindCuttingProxy(t, when)
			ctx := tenant.With(t.Context(), tenant.Default)
			c, err := s.EnsureCollection(ctx, "c", document.Model{Name: "m", Dimensions: 2}, document.Chunking{Tokens: 10})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.BeginUpload(ctx, "object"); err != nil {
				t.Fatal(err)
			}
			cut.Store(true)
			_, err = s.AcceptUpload(ctx, original.Upload{Collection: c, Key: "k", Object: "object", IdempotencyKey: "once"})
			wantUnavailable(t, err)

			list, err := direct.Documents(ctx, document.DocumentFilter{}, document.Page{Limit: 10})
			if err != nil {
				t.Fatal(err)
			}
			abandoned, err := direct.ExpireUploads(ctx, 0, 10)
			if err != nil {
				t.Fatal(err)
			}
			if accepted := len(list.Items) == 1; accepted != arrives || accepted == (abandoned == 1) {
				t.Errorf("got documents %v and %d notes, want one or the other", list.Items, abandoned)
			}
			again, err := upload(ctx, direct, original.Upload{Collection: c, Key: "k", IdempotencyKey: "once"})
			if err != nil || again.Replayed != arrives {
				t.Errorf("sent again: got %+v, %v, want a replay: %t", again, err, arrives)
			}
		})
	}
}

// A connection that ends when the server has said that it committed, but not that
// it is ready for more, as that of a process that an operator ends, is no failure
// of the transaction.
func TestCommitThatWasAnswered(t *testing.T) {
	t.Parallel()
	direct, s, cut := openBehindCuttingProxy(t, withinAnswer)
	ctx := tenant.With(t.Context(), tenant.Default)
	const insert = "INSERT INTO section_summaries (node, summary) VALUES (sha256($1), '')"
	for name, run := range map[string]func() error{
		"a commit alone": func() error {
			return s.InTenant(ctx, func(tx pgx.Tx) error {
				_, err := tx.Exec(ctx, insert, []byte("alone"))
				return err
			})
		},
		"with statements": func() error {
			return s.InTenantCommitBatch(ctx, func(batch *pgx.Batch) { batch.Queue(insert, []byte("with")) })
		},
	} {
		before := countRows(t, ctx, direct, "section_summaries")
		cut.Store(true)
		if err := run(); err != nil || cut.Load() {
			t.Errorf("%s: %v, cut: %t", name, err, !cut.Load())
		}
		if n := countRows(t, ctx, direct, "section_summaries") - before; n != 1 {
			t.Errorf("%s: %d rows were added, want 1", name, n)
		}
	}
}

// cutTime is when a connection that commits breaks.
type cutTime int

const (
	beforeCommit cutTime = iota // the server is not told to commit
	beforeAnswer                // it has committed, and nobody hears of it
	withinAnswer                // it has said that it committed
)

// openBehindCuttingProxy opens a store on a new database twice, the second time by way of
// connections that cutCommit cuts.
func openBehindCuttingProxy(t *testing.T, when cutTime) (direct, s *postgres.Store, cut *atomic.Bool) {
	t.Helper()
	d := preparedDatabase(t)
	d.migrate(t)
	direct = d.open(t)
	server, err := url.Parse(d.app)
	if err != nil {
		t.Fatal(err)
	}
	cut = cutCommit(t, server, when)
	d.app = server.String()
	return direct, d.open(t), cut
}

// cutCommit has the URL lead to the same server by way of connections of which
// the first to commit breaks, once the returned value is set.
func cutCommit(t *testing.T, server *url.URL, when cutTime) *atomic.Bool {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	target := server.Host
	server.Host = listener.Addr().String()
	cut := new(atomic.Bool)
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer client.Close()
				backend, err := net.Dial("tcp", target)
				if err != nil {
					t.Error(err)
					return
				}
				defer backend.Close()
				relay(client, backend, cut, when)
			}()
		}
	}()
	return cut
}

func relay(client, backend net.Conn, cut *atomic.Bool, when cutTime) {
	var silent atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, 64<<10)
		for {
			n, err := backend.Read(buffer)
			if err != nil || silent.Load() {
				_ = client.Close()
				return
			}
			answer := []byte("COMMIT\x00")
			if i := bytes.Index(buffer[:n], answer); when == withinAnswer && i >= 0 && cut.CompareAndSwap(true, false) {
				_, _ = client.Write(buffer[:i+len(answer)])
				_ = client.Close()
				return
			}
			if _, err := client.Write(buffer[:n]); err != nil {
				return
			}
		}
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			break
		}
		if when != withinAnswer && bytes.Contains(buffer[:n], []byte("commit\x00")) && cut.CompareAndSwap(true, false) {
			silent.Store(true)
			if when == beforeCommit {
				break
			}
		}
		if _, err := backend.Write(buffer[:n]); err != nil {
			break
		}
	}
	_ = backend.Close()
	<-done
}

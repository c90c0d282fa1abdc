package postgres_test

import (
	"bytes"
	"net"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

// When a connection breaks during the commit, nobody knows whether the document
// was accepted. Its note does: it is there, for the sweep to find the object by,
// unless the document is.
func TestNoteOfAnUncertainCommit(t *testing.T) {
	t.Parallel()
	for name, arrives := range map[string]bool{"committed": true, "not committed": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := preparedDatabase(t)
			d.migrate(t)
			direct := d.open(t)
			server, err := url.Parse(d.app)
			if err != nil {
				t.Fatal(err)
			}
			cut := cutCommit(t, server, arrives)
			d.app = server.String()
			s := d.open(t)
			ctx := tenant.With(t.Context(), tenant.Default)
			c, err := s.EnsureCollection(ctx, "c", document.Model{Name: "m", Dimensions: 2}, document.Chunking{Tokens: 10})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.BeginUpload(ctx, "object"); err != nil {
				t.Fatal(err)
			}
			cut.Store(true)
			_, err = s.Accept(ctx, document.Upload{Collection: c, Key: "k", Object: "object", IdempotencyKey: "once"})
			wantUnavailable(t, err)

			list, err := direct.Documents(ctx, document.DocumentFilter{}, document.Page{Limit: 10})
			if err != nil {
				t.Fatal(err)
			}
			abandoned, err := direct.AbandonUploads(ctx, 0, 10)
			if err != nil {
				t.Fatal(err)
			}
			if accepted := len(list.Items) == 1; accepted != arrives || accepted == (abandoned == 1) {
				t.Errorf("got documents %v and %d notes, want one or the other", list.Items, abandoned)
			}
			again, err := upload(ctx, direct, document.Upload{Collection: c, Key: "k", IdempotencyKey: "once"})
			if err != nil || again.Replayed != arrives {
				t.Errorf("sent again: got %+v, %v, want a replay: %t", again, err, arrives)
			}
		})
	}
}

// cutCommit has the URL lead to the same server by way of connections of which
// the first to commit breaks, once the returned value is set: after the server
// has answered when the commit is to arrive there, else before it is sent.
func cutCommit(t *testing.T, server *url.URL, arrives bool) *atomic.Bool {
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
				relay(client, backend, cut, arrives)
			}()
		}
	}()
	return cut
}

func relay(client, backend net.Conn, cut *atomic.Bool, arrives bool) {
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
		if bytes.Contains(buffer[:n], []byte("commit\x00")) && cut.CompareAndSwap(true, false) {
			silent.Store(true)
			if !arrives {
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

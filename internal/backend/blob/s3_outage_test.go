package blob_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/seed-7a112592/gristmill/internal/backend/blob"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/test/services"
)

// A read continues where its connection broke, however often that happens.
func TestS3ReadOverBreakingConnection(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	cfg := blob.S3Config(services.S3(t))
	want := make([]byte, 20<<20)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(want)
	if _, err := newS3(t, cfg).Put(t.Context(), "default/a", bytes.NewReader(want)); err != nil {
		t.Fatal(err)
	}
	proxy := newBreakingProxy(t, cfg.Endpoint, seed)
	cfg.Endpoint = proxy.url
	r, err := newS3(t, cfg).Open(t.Context(), "default/a")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := iotest.TestReader(io.LimitReader(r, 3<<20), want[:3<<20]); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("after %d bytes: %v", 3<<20+len(rest), err)
	}
	if !bytes.Equal(rest, want[3<<20:]) {
		t.Error("the bytes differ from those that were put")
	}
	if n := proxy.brokenCount(); n < 10 {
		t.Errorf("only %d connections broke, want at least 10", n)
	}
}

// A short outage of the server does not fail a read, even before the first byte.
func TestS3ReadDuringOutage(t *testing.T) {
	t.Parallel()
	cfg := blob.S3Config(services.S3(t))
	if _, err := newS3(t, cfg).Put(t.Context(), "default/a", strings.NewReader("content")); err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(cfg.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host // part of the signature
	}}
	var outage atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet && outage.Add(-1) >= 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	defer server.Close()
	outage.Store(5) // more than minio-go alone retries
	cfg.Endpoint = server.URL
	r, err := newS3(t, cfg).Open(t.Context(), "default/a")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || string(got) != "content" {
		t.Errorf("read %q, %v", got, err)
	}
}

// A part that is larger than any connection transfers cannot be uploaded. Put returns
// fault.Unavailable and leaves nothing behind.
func TestS3PutOverBreakingConnection(t *testing.T) {
	t.Parallel()
	cfg := blob.S3Config(services.S3(t))
	direct := newS3(t, cfg)
	broken := cfg
	broken.Endpoint = newBreakingProxy(t, cfg.Endpoint, 1).url
	_, err := newS3(t, broken).Put(t.Context(), "default/a", io.LimitReader(rand.NewChaCha8([32]byte{}), 20<<20))
	if !fault.Is(err, fault.Unavailable) {
		t.Errorf("Put = %v, want %s", err, fault.Unavailable)
	}
	if _, err := direct.Open(t.Context(), "default/a"); !fault.Is(err, fault.NotFound) {
		t.Errorf("Open after a failed Put = %v, want %s", err, fault.NotFound)
	}
	wantNoUploads(t, cfg, "default/a")
}

// breakingProxy forwards connections, and breaks each of them after a random number of bytes below
// 2 MiB, in either direction.
type breakingProxy struct {
	url    string
	mu     sync.Mutex
	random *rand.Rand
	breaks int
}

func newBreakingProxy(t *testing.T, endpoint string, seed uint64) *breakingProxy {
	t.Helper()
	target, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &breakingProxy{url: "http://" + listener.Addr().String(), random: rand.New(rand.NewPCG(seed, 0))}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() { p.forward(client, target.Host) })
		}
	})
	t.Cleanup(func() { _ = listener.Close() })
	return p
}

func (p *breakingProxy) forward(client net.Conn, target string) {
	defer client.Close()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	limit := p.random.Int64N(2 << 20)
	p.mu.Unlock()
	ended := make(chan error, 2)
	for _, pair := range [][2]net.Conn{{client, server}, {server, client}} {
		go func() {
			n, err := io.CopyN(pair[0], pair[1], limit)
			if err == nil && n == limit {
				p.mu.Lock()
				p.breaks++
				p.mu.Unlock()
			}
			ended <- err
		}()
	}
	<-ended
}

func (p *breakingProxy) brokenCount() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.breaks
}

package fault_test

import (
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
)

// MinIO is away for a while. Uploads are refused, work waits, and all of it is
// done when MinIO is back.
func TestMinIOStops(t *testing.T) {
	t.Parallel()
	servers := ownServers(t)
	m := newTestEnv(t, servers, fakeprovider.Options{Latency: 20 * time.Millisecond, TextsPerSecond: 100})
	m.startAll()
	files := newFiles(m.random, ifShort(60, 200))
	m.uploadAll(files[10:])
	await.Until(t, "the work has begun", func() bool { return m.provider.Counts().TextsAnswered > 0 })

	servers.stop(t, "minio")
	back := time.After(ifShort(10*time.Second, 30*time.Second))
	m.wantRefused(files[0])
	var uploads sync.WaitGroup
	uploads.Go(func() { m.uploadAll(files[:10]) })
	<-back
	servers.start(t, "minio")
	uploads.Wait()
	m.audit(5*time.Minute, 0)
}

// Reads of an original are cut at random bytes, and go on where they were cut.
func TestReadsOfObjectsAreCut(t *testing.T) {
	t.Parallel()
	const cuts = 10
	m := newTestEnv(t, sharedServers(t), fakeprovider.Options{})
	cutter := newCutter(t, m.proxied.S3.Endpoint, m.random)
	m.proxied.S3.Endpoint = cutter.URL
	m.start("api")
	large := newFile(m.random, "large.md", 40, 200)
	if err := m.upload(large); err != nil {
		t.Fatal(err)
	}

	cutter.cut(cuts)
	m.start("worker-knowledge")
	await.Within(t, time.Minute, "the document is searchable", func() bool {
		return m.direct.QueryInt(`SELECT count(*) FROM documents WHERE state = 'ready'`) == 1
	})
	cutter.check(t, cuts)
	cutter.cut(cuts) // the summary's reads, and then the audit's
	m.start("worker-summary")
	m.audit(time.Minute, 0)
	cutter.check(t, cuts)
}

// cutter stands between the programs and MinIO, and cuts answers that bring an
// object.
type cutter struct {
	*httptest.Server
	mu     sync.Mutex
	random *rand.Rand
	left   int           // answers still to be cut
	reads  []*objectRead // of answers since the last call of cut
}

// objectRead is a request for a range of an object, and what was sent of it.
type objectRead struct {
	path       string
	start, end int64 // first and last byte asked for
	sent       int64
	cut        bool
	resumes    *objectRead // which it goes on with, as check finds
}

func newCutter(t *testing.T, endpoint string, random *rand.Rand) *cutter {
	t.Helper()
	target, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{random: rand.New(rand.NewPCG(random.Uint64(), 0))}
	proxy := &httputil.ReverseProxy{
		// The host stays as it was: it is part of what a request's signature signs.
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
		},
		ModifyResponse: c.answer,
		ErrorLog:       log.New(io.Discard, "", 0),
		FlushInterval:  -1, // so that what was sent before a cut arrives
	}
	c.Server = httptest.NewServer(proxy)
	t.Cleanup(c.Close)
	return c
}

// cut has the next n answers that bring an object break off.
func (c *cutter) cut(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left, c.reads = n, nil
}

// answer takes down a read of an object, and cuts it if it is to be cut.
func (c *cutter) answer(response *http.Response) error {
	read := &objectRead{path: response.Request.URL.Path}
	if _, err := fmt.Sscanf(response.Request.Header.Get("Range"), "bytes=%d-%d", &read.start, &read.end); err != nil {
		return nil // not a read
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads = append(c.reads, read)
	body := &cutBody{ReadCloser: response.Body, c: c, read: read, left: read.end - read.start + 1}
	if c.left > 0 {
		c.left--
		read.cut = true
		body.left = c.random.Int64N(body.left)
	}
	response.Body = body
	return nil
}

// cutBody is the body of an answer, up to where it is cut.
type cutBody struct {
	io.ReadCloser
	c    *cutter
	read *objectRead
	left int64
}

func (b *cutBody) Read(p []byte) (int, error) {
	if b.read.cut && b.left == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), max(b.left, 1))])
	b.left -= int64(n)
	b.c.mu.Lock()
	b.read.sent += int64(n)
	b.c.mu.Unlock()
	return n, err
}

// check checks that n reads were cut, and that each was resumed by a read of its
// own, which asked for what was missing and for nothing that had come. Two
// readers of one object may take turns.
func (c *cutter) check(t *testing.T, n int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var said strings.Builder
	found := 0
	for i, read := range c.reads {
		if !read.cut {
			continue
		}
		found++
		later := c.reads[i+1:]
		resumed := slices.IndexFunc(later, func(next *objectRead) bool {
			return next.resumes == nil && next.path == read.path && next.start == read.start+read.sent && next.end == read.end
		})
		if resumed < 0 {
			t.Errorf("the read of %s from %d to %d, cut after %d bytes, was not resumed there", read.path, read.start, read.end, read.sent)
			continue
		}
		later[resumed].resumes = read
		fmt.Fprintf(&said, "\nbytes %d-%d cut after %d", read.start, read.end, read.sent)
	}
	t.Logf("%d reads, %d of them cut:%s", len(c.reads), found, said.String())
	if found != n {
		t.Errorf("%d reads were cut, want %d", found, n)
	}
}

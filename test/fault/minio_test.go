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

// MinIO is stopped for a while. Uploads are refused, work waits, and all of it is done when MinIO
// is back.
func TestMinIOStops(t *testing.T) {
	t.Parallel()
	servers := ownServers(t)
	m := newTestEnv(t, servers, fakeprovider.Options{Latency: 20 * time.Millisecond, TextsPerSecond: 100})
	m.startAll()
	files := newFiles(m.random, ifShort(60, 200))
	m.uploadAll(files[10:])
	await.Until(t, "the work has started", func() bool { return m.provider.Counts().TextsAnswered > 0 })

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

// Reads of an original are interrupted at random bytes, and resumed at the same byte.
func TestObjectReadsAreResumed(t *testing.T) {
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
	cutter.cut(cuts) // first the reads for the summary, then those of the audit
	m.start("worker-summary")
	m.audit(time.Minute, 0)
	cutter.check(t, cuts)
}

// cutter is a proxy between the programs and MinIO that cuts responses with an object.
type cutter struct {
	*httptest.Server
	mu     sync.Mutex
	random *rand.Rand
	left   int           // number of responses that are still to be cut
	reads  []*objectRead // reads since the last call of cut
}

// objectRead is a request for a range of an object, and how much of it was sent.
type objectRead struct {
	path       string
	start, end int64 // first and last byte requested
	sent       int64 // bytes
	cut        bool
	resumes    *objectRead // the cut read that this one resumes; set by check
}

func newCutter(t *testing.T, endpoint string, random *rand.Rand) *cutter {
	t.Helper()
	target, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{random: rand.New(rand.NewPCG(random.Uint64(), 0))}
	proxy := &httputil.ReverseProxy{
		// Keeps the Host header, because the request's signature covers it.
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
		},
		ModifyResponse: c.answer,
		ErrorLog:       log.New(io.Discard, "", 0),
		FlushInterval:  -1, // so that the bytes before a cut arrive
	}
	c.Server = httptest.NewServer(proxy)
	t.Cleanup(c.Close)
	return c
}

// cut makes the next n responses with an object end early.
func (c *cutter) cut(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left, c.reads = n, nil
}

// answer records a read of an object, and cuts it if required.
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

// cutBody is the body of a response, which ends where it is cut.
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

// check checks that n reads were cut, and that each was resumed by exactly one later read of the
// missing bytes. Two readers may read the same object alternately.
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

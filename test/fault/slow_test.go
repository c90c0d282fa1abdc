package fault_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed-7a112592/gristmill/internal/test/audit"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Many large uploads by slow clients, and as many uploads that clients abort in the middle, need
// more memory than the API server may use. It stays below its limit, stores complete uploads while
// it has room, and keeps nothing of the others. Clients that send one byte at a time hold their
// room only for a limited time.
//
// The limit applies to the memory of a cgroup, which includes the kernel's socket buffers, if one
// can be created, and always to the peak resident set of the process.
func TestSlowAndAbortedUploads(t *testing.T) {
	t.Parallel()
	const size = 5_000_000
	clients := ifShort(30, 200)
	limit := ifShort(256<<20, 512<<20) // memory of the process
	room := limit / 4                  // memory for uploads
	const slowest = 5 * time.Second    // time for 16 KiB
	environment := []string{fmt.Sprintf("GRISTMILL_UPLOAD_MEMORY=%d", room), "GRISTMILL_UPLOAD_TIMEOUT=" + slowest.String()}
	group, err := newCgroup(t, limit)
	if err != nil {
		t.Logf("cannot create a cgroup, only the resident set is checked: %v", err)
		environment = append(environment, fmt.Sprintf("GOMEMLIMIT=%d", limit*9/10))
	}
	m := newTestEnv(t, sharedServers(t), fakeprovider.Options{}, environment...)
	var api *program.Program // no worker: the test is about accepting uploads
	if group != nil {
		api = m.startInCgroup(group, "api")
	} else {
		api = m.start("api")
	}
	if got := metric(t, api, "go_gc_gomemlimit_bytes"); got < float64(limit)*0.89 || got > float64(limit)*0.91 {
		t.Errorf("GOMEMLIMIT is %.0f, want nine tenths of %d", got, limit)
	}
	m.wantAccepted(newFiles(m.random, 1)[0])
	before := audit.Snapshot(t, m.direct)
	running := goroutines(t, api)

	var refused atomic.Int64
	var uploading, aborting, trickling errgroup.Group
	for i := range clients / 10 {
		trickling.Go(func() error { return trickle(api, i, size, 4*slowest) })
	}
	accepted := make([]document.Document, clients)
	for i := range clients {
		text := slowText(i, size)
		uploading.Go(func() (err error) {
			accepted[i], err = uploadSlowly(t.Context(), api, fmt.Sprintf("slow/%d.md", i), text, &refused)
			return err
		})
		seed := m.random.Uint64()
		aborting.Go(func() error { return abortUpload(api, i, rand.New(rand.NewPCG(seed, 0))) })
	}
	if err := aborting.Wait(); err != nil {
		t.Error(err)
	}
	if err := uploading.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := trickling.Wait(); err != nil {
		t.Error(err)
	}
	peak := residentPeak(t, api)
	t.Logf("%d uploads of %d bytes were accepted, after %d refusals; the API server's resident set had at most %d MiB", clients, size, refused.Load(), peak>>20)
	if group != nil {
		t.Logf("the API server was in the cgroup %s, limit %d MiB", group, limit>>20)
	}
	if peak > int64(limit) {
		t.Errorf("the resident set had %d bytes, want at most %d", peak, limit)
	}
	if clients*size < 2*room {
		t.Error("all uploads fit into memory together, so this test checks nothing")
	}

	for i, doc := range accepted {
		if got := contentSum(t, api, doc); got != doc.SHA256 {
			t.Errorf("upload %d has been stored as %s, want %s", i, got, doc.SHA256)
		}
	}
	await.Until(t, "nothing is left of the aborted uploads", func() bool {
		now := audit.Snapshot(t, m.direct)
		if now["table public.uploads"] != before["table public.uploads"] {
			return false // records of unfinished uploads
		}
		objects := 0
		for name := range now {
			if strings.HasPrefix(name, "object ") {
				objects++
			}
		}
		return objects == clients+1 && now["table public.documents"] == fmt.Sprint(clients+1)
	})
	// Idle connections to the servers stay open for a while.
	await.Until(t, "the goroutines of the uploads have ended", func() bool { return goroutines(t, api) <= running+clients/2 })
}

// slowText returns a document of size bytes that is different for each n.
func slowText(n, size int) []byte {
	line := fmt.Sprintf("Sack %d of grain is ground to flour, slowly and all of it.\n", n)
	return bytes.Repeat([]byte(line), size/len(line)+1)[:size]
}

// uploadSlowly uploads a document in pieces with pauses. It retries while the server has no room.
func uploadSlowly(ctx context.Context, api *program.Program, key string, text []byte, refused *atomic.Int64) (document.Document, error) {
	sum := sha256.Sum256(text)
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodPut, api.URL()+"/v1/documents?key="+key, &slowReader{rest: text})
		if err != nil {
			return document.Document{}, err
		}
		request.ContentLength = int64(len(text))
		request.Header.Set("Authorization", "Bearer "+program.APIKey)
		request.Header.Set("Content-Type", "text/markdown")
		request.Header.Set("Expect", "100-continue") // so that a refused upload sends no body
		response, err := slowClient.Do(request)
		if err != nil {
			return document.Document{}, fmt.Errorf("upload %s: %w", key, err)
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			return document.Document{}, fmt.Errorf("upload %s: %w", key, err)
		}
		switch response.StatusCode {
		case http.StatusAccepted:
			var answer document.Accepted
			if err := json.Unmarshal(body, &answer); err != nil {
				return document.Document{}, err
			}
			if answer.Document.SHA256 != hex.EncodeToString(sum[:]) || answer.Document.Size != int64(len(text)) {
				return document.Document{}, fmt.Errorf("%s was accepted as %d bytes, %s", key, answer.Document.Size, answer.Document.SHA256)
			}
			return answer.Document, nil
		case http.StatusServiceUnavailable:
			refused.Add(1)
			seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
			if err != nil {
				return document.Document{}, fmt.Errorf("upload %s: 503 without Retry-After: %s", key, body)
			}
			select {
			case <-ctx.Done():
				return document.Document{}, ctx.Err()
			case <-time.After(time.Duration(seconds) * time.Second):
			}
		default:
			return document.Document{}, fmt.Errorf("upload %s: %s: %s", key, response.Status, body)
		}
	}
}

var slowClient = &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute, MaxIdleConnsPerHost: -1}}

// slowReader returns its data in pieces, with a pause before each.
type slowReader struct{ rest []byte }

func (r *slowReader) Read(p []byte) (int, error) {
	const piece, pause = 100_000, 50 * time.Millisecond // five megabytes in 2.5 s
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	<-time.After(pause)
	n := copy(p, r.rest[:min(piece, len(r.rest))])
	r.rest = r.rest[n:]
	return n, nil
}

// abortUpload starts an upload, sometimes a multipart one, and closes the connection in the middle,
// with a FIN or a reset.
func abortUpload(api *program.Program, n int, random *rand.Rand) error {
	conn, err := net.Dial("tcp", strings.TrimPrefix(api.URL(), "http://"))
	if err != nil {
		return err
	}
	defer conn.Close()
	declared := 5_000_000
	if n%4 == 0 {
		declared = 20_000_000
	}
	length := fmt.Sprintf("Content-Length: %d\r\n", declared)
	if n%8 == 1 {
		length = "Transfer-Encoding: chunked\r\n"
	}
	head := fmt.Sprintf("PUT /v1/documents?key=aborted/%d.md HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer %s\r\n%s\r\n", n, program.APIKey, length)
	sent := random.IntN(declared)
	text := slowText(n, sent)
	if n%8 == 1 {
		head += fmt.Sprintf("%x\r\n", declared)
	}
	if _, err := io.WriteString(conn, head); err != nil {
		return err
	}
	_, _ = conn.Write(text) // fails if the server refuses it because it has no room
	if n%2 == 0 {
		return conn.(*net.TCPConn).SetLinger(0) // a reset
	}
	return nil
}

// trickle starts an upload and sends one byte at a time. The server must refuse it before the
// timeout, because it is too slow or because there is no room.
func trickle(api *program.Program, n, declared int, timeout time.Duration) error {
	conn, err := net.Dial("tcp", strings.TrimPrefix(api.URL(), "http://"))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(conn, "PUT /v1/documents?key=trickle/%d.md HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n", n, program.APIKey, declared); err != nil {
		return err
	}
	go func() {
		for range time.Tick(200 * time.Millisecond) {
			if _, err := io.WriteString(conn, "g"); err != nil {
				return // the server has refused it and closed the connection
			}
		}
	}()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return fmt.Errorf("client that sends one byte at a time: %w", err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusRequestTimeout && response.StatusCode != http.StatusServiceUnavailable {
		return fmt.Errorf("client that sends one byte at a time: answered %s, want 408 or 503", response.Status)
	}
	return nil
}

// contentSum returns the SHA-256 of a document's original as the API returns it.
func contentSum(t *testing.T, api *program.Program, doc document.Document) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api.URL()+"/v1/documents/"+doc.ID.String()+"/content", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+program.APIKey)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, response.Body); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("content of %s: %s, %v", doc.Key, response.Status, err)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// residentPeak returns the peak resident set of a program, in bytes.
func residentPeak(t *testing.T, p *program.Program) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("/proc/PID/status has no VmHWM")
	return 0
}

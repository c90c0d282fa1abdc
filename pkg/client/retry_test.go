package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// scriptedTransport is a transport that plays one part for each request, the last one for
// ever, and notes what was sent.
type scriptedTransport struct {
	steps []func() (*http.Response, error)
	sent  []time.Time
	keys  []string // Idempotency-Keys
}

func (s *scriptedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return nil, err
		}
		_ = r.Body.Close()
	}
	part := s.steps[min(len(s.sent), len(s.steps)-1)]
	s.sent = append(s.sent, time.Now())
	s.keys = append(s.keys, r.Header.Get("Idempotency-Key"))
	response, err := part()
	if response != nil {
		response.Request = r
	}
	return response, err
}

func respondOK() (*http.Response, error) { return newResponse(200, "application/json", "{}"), nil }

func respondEOF() (*http.Response, error) { return nil, io.EOF }

func respondHalf() (*http.Response, error) {
	response := newResponse(200, "application/json", "")
	response.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"id":`), iotest.ErrReader(io.ErrUnexpectedEOF)))
	return response, nil
}

func respondProblem(status int, retryAfter string) func() (*http.Response, error) {
	return func() (*http.Response, error) {
		response := newResponse(status, "application/problem+json", `{"detail":"busy","code":"unavailable"}`)
		response.Header.Set("Retry-After", retryAfter)
		return response, nil
	}
}

func TestComesBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "a.md")
	if err := os.WriteFile(file, []byte("# a"), 0o600); err != nil {
		t.Fatal(err)
	}
	read := func(ctx context.Context, c *client.Client) error { _, err := c.Document(ctx, docID); return err }
	retry := func(ctx context.Context, c *client.Client) error { _, err := c.RetryJob(ctx, jobID); return err }
	uploadFile := func(ctx context.Context, c *client.Client) error {
		_, err := c.UploadFile(ctx, document.UploadRequest{Key: "a"}, file)
		return err
	}
	uploadNoFile := func(ctx context.Context, c *client.Client) error {
		if err := read(ctx, c); err != nil {
			return err
		}
		_, err := c.UploadFile(ctx, document.UploadRequest{Key: "a"}, dir)
		return err
	}
	uploadStream := func(ctx context.Context, c *client.Client) error {
		_, err := c.Upload(ctx, document.UploadRequest{Key: "a"}, strings.NewReader("# a"))
		return err
	}
	type parts = []func() (*http.Response, error)
	for name, test := range map[string]struct {
		call  func(context.Context, *client.Client) error
		parts parts
		sent  int
		ok    bool
		least time.Duration // for it all
		most  time.Duration
	}{
		"busy twice":                  {read, parts{respondProblem(503, "3"), respondProblem(503, "3"), respondOK}, 3, true, 6 * time.Second, 8 * time.Second},
		"limited once":                {retry, parts{respondProblem(429, "3"), respondOK}, 2, true, 3 * time.Second, 4 * time.Second},
		"busy for ever":               {read, parts{respondProblem(503, "20")}, 3, false, 40 * time.Second, 50 * time.Second},
		"a file waits for longer":     {uploadFile, parts{respondProblem(429, "60"), respondProblem(429, "300"), respondOK}, 3, true, 6 * time.Minute, 8 * time.Minute},
		"a file, busy for ever":       {uploadFile, parts{respondProblem(429, "300")}, 3, false, 10 * time.Minute, 13 * time.Minute},
		"a stream cannot be rewound":  {uploadStream, parts{respondProblem(503, "1")}, 1, false, 0, 0},
		"asked to wait for too long":  {read, parts{respondProblem(503, "3600")}, 1, false, 0, 0},
		"asked for nothing":           {read, parts{respondProblem(503, "")}, 1, false, 0, 0},
		"another failure":             {read, parts{respondProblem(500, "1")}, 1, false, 0, 0},
		"a server that never was":     {read, parts{respondEOF}, 1, false, 0, 0},
		"a server that restarts":      {read, parts{respondProblem(503, "1"), respondEOF, respondEOF, respondOK}, 4, true, time.Second, 5 * time.Second},
		"a server that went for good": {uploadFile, parts{respondProblem(503, "1"), respondEOF}, 7, false, 5 * time.Second, 30 * time.Second},
		"half an answer":              {uploadFile, parts{respondHalf, respondOK}, 2, true, 250 * time.Millisecond, time.Second},
		"an answer that is none":      {read, parts{func() (*http.Response, error) { return newResponse(200, "text/html", "<p>"), nil }}, 1, false, 0, 0},
		"a file that cannot be read":  {uploadNoFile, parts{respondOK}, 1, false, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				transport := &scriptedTransport{steps: test.parts}
				c := newClient(t, transport)
				start := time.Now()
				err := test.call(t.Context(), c)
				if took := time.Since(start); took < test.least || took > test.most {
					t.Errorf("took %s, want %s to %s", took, test.least, test.most)
				}
				if (err == nil) != test.ok || len(transport.sent) != test.sent {
					t.Errorf("sent %d times, error %v; want %d times, success %v", len(transport.sent), err, test.sent, test.ok)
				}
			})
		})
	}
}

// The failure that is reported is the last one, not that of coming back.
func TestReportsTheLastFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, &scriptedTransport{steps: []func() (*http.Response, error){respondProblem(503, "20"), respondProblem(503, "20"), respondProblem(503, "20"), respondEOF}})
		_, err := c.Document(t.Context(), docID)
		if p, ok := errors.AsType[*client.Problem](err); !ok || p.Status != 503 {
			t.Errorf("error %#v, want the server's problem", err)
		}
		_, err = c.Document(t.Context(), docID)
		if want := `Get "http://gristmill.test/v1/documents/` + docID.String() + `": EOF`; err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	})
}

func TestStopsComingBackWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		_, err := newClient(t, &scriptedTransport{steps: []func() (*http.Response, error){respondProblem(503, "20")}}).Document(ctx, docID)
		if took := time.Since(start); err == nil || took != 5*time.Second {
			t.Errorf("ended after %s with %v, want an error after 5s", took, err)
		}
	})
}

// All attempts at an upload are one upload; the next file's is another.
func TestUploadFileKeepsItsIdempotencyKey(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "a.md")
	if err := os.WriteFile(file, []byte("# a"), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		transport := &scriptedTransport{steps: []func() (*http.Response, error){respondProblem(503, "1"), respondEOF, respondHalf, respondOK}}
		c := newClient(t, transport)
		for range 2 {
			if _, err := c.UploadFile(t.Context(), document.UploadRequest{Key: "a"}, file); err != nil {
				t.Fatal(err)
			}
		}
		k := transport.keys
		if len(k) != 5 || k[0] == "" || k[0] != k[1] || k[0] != k[2] || k[0] != k[3] || k[0] == k[4] {
			t.Errorf("keys %q, want the same four times and then another", k)
		}
	})
}

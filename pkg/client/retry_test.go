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

// scriptedTransport is a transport that answers each request with the next step, and repeats the
// last one. It records the requests.
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
	step := s.steps[min(len(s.sent), len(s.steps)-1)]
	s.sent = append(s.sent, time.Now())
	s.keys = append(s.keys, r.Header.Get("Idempotency-Key"))
	response, err := step()
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

func TestRetries(t *testing.T) {
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
	type steps = []func() (*http.Response, error)
	for name, test := range map[string]struct {
		call  func(context.Context, *client.Client) error
		steps steps
		sent  int
		ok    bool
		min   time.Duration // of the complete call
		max   time.Duration
	}{
		"busy twice":                    {read, steps{respondProblem(503, "3"), respondProblem(503, "3"), respondOK}, 3, true, 6 * time.Second, 8 * time.Second},
		"limited once":                  {retry, steps{respondProblem(429, "3"), respondOK}, 2, true, 3 * time.Second, 4 * time.Second},
		"always busy":                   {read, steps{respondProblem(503, "20")}, 3, false, 40 * time.Second, 50 * time.Second},
		"a file is retried longer":      {uploadFile, steps{respondProblem(429, "60"), respondProblem(429, "300"), respondOK}, 3, true, 6 * time.Minute, 8 * time.Minute},
		"a file, always busy":           {uploadFile, steps{respondProblem(429, "300")}, 3, false, 10 * time.Minute, 13 * time.Minute},
		"a stream cannot be rewound":    {uploadStream, steps{respondProblem(503, "1")}, 1, false, 0, 0},
		"asked to wait for too long":    {read, steps{respondProblem(503, "3600")}, 1, false, 0, 0},
		"no Retry-After":                {read, steps{respondProblem(503, "")}, 1, false, 0, 0},
		"another failure":               {read, steps{respondProblem(500, "1")}, 1, false, 0, 0},
		"a server never seen":           {read, steps{respondEOF}, 1, false, 0, 0},
		"a server that restarts":        {read, steps{respondProblem(503, "1"), respondEOF, respondEOF, respondOK}, 4, true, time.Second, 5 * time.Second},
		"a server that does not return": {uploadFile, steps{respondProblem(503, "1"), respondEOF}, 7, false, 5 * time.Second, 30 * time.Second},
		"half an answer":                {uploadFile, steps{respondHalf, respondOK}, 2, true, 250 * time.Millisecond, time.Second},
		"an answer of another type":     {read, steps{func() (*http.Response, error) { return newResponse(200, "text/html", "<p>"), nil }}, 1, false, 0, 0},
		"a file that cannot be read":    {uploadNoFile, steps{respondOK}, 1, false, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				transport := &scriptedTransport{steps: test.steps}
				c := newClient(t, transport)
				start := time.Now()
				err := test.call(t.Context(), c)
				if took := time.Since(start); took < test.min || took > test.max {
					t.Errorf("took %s, want %s to %s", took, test.min, test.max)
				}
				if (err == nil) != test.ok || len(transport.sent) != test.sent {
					t.Errorf("sent %d times, error %v; want %d times, success %v", len(transport.sent), err, test.sent, test.ok)
				}
			})
		})
	}
}

// TestErrorOfLastAttempt checks that a call returns the error of its last attempt, not one of the
// retry policy.
func TestErrorOfLastAttempt(t *testing.T) {
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

func TestContextEndsRetries(t *testing.T) {
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

// TestUploadFileIdempotencyKey checks that all attempts of an upload have the same key, and that
// the next upload has another one.
func TestUploadFileIdempotencyKey(t *testing.T) {
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
			t.Errorf("keys %q, want the same key four times and then another one", k)
		}
	})
}

package blob_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/seed-7a112592/gristmill/internal/backend/blob"
	"github.com/seed-7a112592/gristmill/internal/backend/blob/blobtest"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/test/services"
)

func newS3(t *testing.T, cfg blob.S3Config) *blob.S3 {
	t.Helper()
	s, err := blob.NewS3(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestS3(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(t *testing.T) blobtest.Store {
		cfg := blob.S3Config(services.S3(t))
		s := &recordingS3{S3: newS3(t, cfg), names: map[string]bool{}}
		t.Cleanup(func() {
			for name := range s.names {
				wantNoUploads(t, cfg, name)
			}
		})
		return s
	})
}

// recordingS3 records the names that were accepted, because MinIO lists unfinished uploads for
// complete names only.
type recordingS3 struct {
	*blob.S3
	mu    sync.Mutex
	names map[string]bool
}

func (s *recordingS3) Put(ctx context.Context, name string, r io.Reader) (original.ObjectInfo, error) {
	object, err := s.S3.Put(ctx, name, r)
	if !fault.Is(err, fault.BadRequest) {
		s.mu.Lock()
		s.names[name] = true
		s.mu.Unlock()
	}
	return object, err
}

// newMinioClient returns a client for requests that S3 does not offer.
func newMinioClient(t *testing.T, cfg blob.S3Config) *minio.Core {
	t.Helper()
	u, err := url.Parse(cfg.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	client, err := minio.NewCore(u.Host, &minio.Options{Creds: credentials.NewStaticV4(cfg.AccessKey, cfg.SecretKey, ""), Region: cfg.Region})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func wantNoUploads(t *testing.T, cfg blob.S3Config, name string) {
	t.Helper()
	client := newMinioClient(t, cfg)
	for upload := range client.ListIncompleteUploads(context.WithoutCancel(t.Context()), cfg.Bucket, name, true) {
		t.Errorf("an upload of %s was left behind: %+v", name, upload)
	}
}

func TestS3EnsureBucket(t *testing.T) {
	t.Parallel()
	cfg := blob.S3Config(services.S3(t))
	s := newS3(t, cfg)
	for range 2 {
		if err := s.EnsureBucket(t.Context()); err != nil {
			t.Fatalf("an existing bucket: %v", err)
		}
	}
	cfg.Bucket += "-2"
	s = newS3(t, cfg)
	if err := s.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), cfg.Bucket) {
		t.Errorf("Ping without a bucket = %v, want an error that names it", err)
	}
	if err := s.EnsureBucket(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	removeBucket(t, cfg)
}

func removeBucket(t *testing.T, cfg blob.S3Config) {
	t.Helper()
	if err := newMinioClient(t, cfg).RemoveBucket(t.Context(), cfg.Bucket); err != nil {
		t.Error(err)
	}
}

func TestNewS3RejectsInvalidConfig(t *testing.T) {
	t.Parallel()
	for _, cfg := range []blob.S3Config{
		{Bucket: "b"},
		{Bucket: "b", Endpoint: "127.0.0.1:9000"},
		{Bucket: "b", Endpoint: "redis://127.0.0.1"},
		{Endpoint: "http://127.0.0.1:9000"},
	} {
		if _, err := blob.NewS3(cfg); err == nil {
			t.Errorf("NewS3(%+v) succeeded", cfg)
		}
	}
}

func TestS3Unreachable(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	endpoint := "http://" + listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	s := newS3(t, blob.S3Config{Endpoint: endpoint, Bucket: "bucket", Region: "us-east-1"})
	calls := map[string]func() error{
		"Put": func() error { _, err := s.Put(t.Context(), "a/b", strings.NewReader("x")); return err },
		"large Put": func() error {
			_, err := s.Put(t.Context(), "a/b", io.LimitReader(rand.NewChaCha8([32]byte{}), 9<<20))
			return err
		},
		"Open":   func() error { _, err := s.Open(t.Context(), "a/b"); return err },
		"Delete": func() error { return s.Delete(t.Context(), "a/b") },
		"Ping":   func() error { return s.Ping(t.Context()) },
		"List": func() error {
			for _, err := range s.List(t.Context(), "") {
				return err
			}
			return nil
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if f := fault.As(call()); f == nil || f.Kind != fault.Unavailable || f.RetryAfter <= 0 {
				t.Errorf("got %v, want %s with RetryAfter", f, fault.Unavailable)
			}
		})
	}
}

// A server that accepts all data and never answers counts as down.
func TestS3Silent(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var group sync.WaitGroup
	defer group.Wait()
	defer listener.Close()
	group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer conn.Close()
				_, _ = io.Copy(io.Discard, conn) // until the client disconnects
			})
		}
	})
	s := newS3(t, blob.S3Config{Endpoint: "http://" + listener.Addr().String(), Bucket: "bucket", Region: "us-east-1"})
	s.SetResponseTimeout(50 * time.Millisecond)
	for name, call := range map[string]func() error{
		"Put": func() error { _, err := s.Put(t.Context(), "a/b", strings.NewReader("x")); return err },
		"large Put": func() error {
			_, err := s.Put(t.Context(), "a/b", io.LimitReader(rand.NewChaCha8([32]byte{}), 9<<20))
			return err
		},
		"Delete": func() error { return s.Delete(t.Context(), "a/b") },
	} {
		start := time.Now()
		if f := fault.As(call()); f == nil || f.Kind != fault.Unavailable || f.RetryAfter <= 0 {
			t.Errorf("%s: got %v, want %s with RetryAfter", name, f, fault.Unavailable)
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s: took %s", name, took)
		}
	}
}

// A killed process leaves the parts that it has uploaded.
func TestS3DeleteRemovesUnfinishedUploads(t *testing.T) {
	t.Parallel()
	cfg := blob.S3Config(services.S3(t))
	s, client := newS3(t, cfg), newMinioClient(t, cfg)
	for _, name := range []string{"default/a", "default/ab"} {
		upload, err := client.NewMultipartUpload(t.Context(), cfg.Bucket, name, minio.PutObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.PutObjectPart(t.Context(), cfg.Bucket, name, upload, 1, strings.NewReader("part"), 4, minio.PutObjectPartOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Delete(t.Context(), "default/a"); err != nil {
		t.Fatal(err)
	}
	wantNoUploads(t, cfg, "default/a")
	others := 0
	for range client.ListIncompleteUploads(t.Context(), cfg.Bucket, "default/ab", true) {
		others++
	}
	if others != 1 {
		t.Errorf("another object has %d unfinished uploads left, want 1", others)
	}
}

// A Put fails if its upload is deleted meanwhile, and leaves nothing behind.
func TestS3DeleteDuringPut(t *testing.T) {
	t.Parallel()
	cfg := blob.S3Config(services.S3(t))
	s := newS3(t, cfg)
	deleted := false
	body := readerFunc(func(p []byte) (int, error) {
		if !deleted {
			deleted = true
			if err := s.Delete(t.Context(), "default/a"); err != nil {
				return 0, err
			}
		}
		return 0, io.EOF
	})
	_, err := s.Put(t.Context(), "default/a", io.MultiReader(io.LimitReader(rand.NewChaCha8([32]byte{}), 9<<20), body))
	if !fault.Is(err, fault.NotFound) {
		t.Errorf("Put = %v, want %s", err, fault.NotFound)
	}
	if _, err := s.Open(t.Context(), "default/a"); !fault.Is(err, fault.NotFound) {
		t.Errorf("Open = %v, want %s", err, fault.NotFound)
	}
	wantNoUploads(t, cfg, "default/a")
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Put and reads allocate memory that does not grow with the object. The test is not parallel,
// because the runtime counts allocations of the whole process.
func TestS3MemoryIsBounded(t *testing.T) {
	const size, limit = 128 << 20, 64 << 20
	s := newS3(t, blob.S3Config(services.S3(t)))
	put := allocated(func() {
		if object, err := s.Put(t.Context(), "default/large", io.LimitReader(rand.NewChaCha8([32]byte{}), size)); err != nil || object.Size != size {
			t.Fatalf("Put = %+v, %v", object, err)
		}
	})
	read := allocated(func() {
		r, err := s.Open(t.Context(), "default/large")
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, r); err != nil || n != size {
			t.Fatalf("read %d, %v", n, errors.Join(err, r.Close()))
		}
	})
	t.Logf("an object of %d MiB: Put allocated %d KiB, reading it %d KiB", size>>20, put>>10, read>>10)
	if put > limit || read > limit {
		t.Errorf("want less than %d KiB of each", limit>>10)
	}
}

func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

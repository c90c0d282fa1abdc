package services

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/redis/go-redis/v9"
)

func TestPostgresIsNewAndDroppedWhileInUse(t *testing.T) {
	t.Parallel()
	var used string
	t.Run("use", func(t *testing.T) {
		used = Postgres(t)
		connection, err := pgx.Connect(t.Context(), used)
		if err != nil {
			t.Fatal(err)
		}
		// The connection stays open: a failed test may leave connections, and its database must be
		// dropped nevertheless.
		var tables int
		if err := connection.QueryRow(t.Context(), `SELECT count(*) FROM pg_tables WHERE schemaname = 'public'`).Scan(&tables); err != nil {
			t.Fatal(err)
		}
		if tables != 0 {
			t.Errorf("a new database has %d tables", tables)
		}
		var distance float64
		if _, err := connection.Exec(t.Context(), `CREATE EXTENSION vector`); err != nil {
			t.Fatal(err)
		}
		if err := connection.QueryRow(t.Context(), `SELECT '[1,2]'::halfvec(2) <-> '[4,6]'::halfvec(2)`).Scan(&distance); err != nil {
			t.Fatal(err)
		}
		if distance != 5 {
			t.Errorf("distance %v, want 5", distance)
		}
	})
	connection, err := pgx.Connect(t.Context(), Servers{}.setting(t, envPostgresURL)) // skips when the test above did
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close(t.Context())
	name := strings.TrimPrefix(mustParse(t, used).Path, "/")
	var left int
	if err := connection.QueryRow(t.Context(), `SELECT count(*) FROM pg_database WHERE datname = $1`, name).Scan(&left); err != nil {
		t.Fatal(err)
	}
	if left != 0 {
		t.Errorf("database %s still exists", name)
	}
}

func TestPostgresInParallel(t *testing.T) {
	t.Parallel()
	var mutex sync.Mutex
	seen := map[string]bool{}
	t.Run("all", func(t *testing.T) {
		for i := range 8 {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				address := Postgres(t)
				mutex.Lock()
				defer mutex.Unlock()
				if seen[address] {
					t.Errorf("%s was given twice", address)
				}
				seen[address] = true
			})
		}
	})
}

func TestRedisDatabaseIsExclusive(t *testing.T) {
	t.Parallel()
	var used string
	t.Run("use", func(t *testing.T) {
		used = Redis(t)
		one, other := redisClient(t, used), redisClient(t, Redis(t))
		if err := one.Set(t.Context(), "key", "value", 0).Err(); err != nil {
			t.Fatal(err)
		}
		if n, err := other.DBSize(t.Context()).Result(); err != nil || n != 0 {
			t.Errorf("the other test's database has %d keys, error %v", n, err)
		}
	})
	registry := redisClient(t, Servers{}.setting(t, envRedisURL)) // skips when the test above did
	number := strings.TrimPrefix(mustParse(t, used).Path, "/")
	if number == "0" {
		t.Error("a test got database 0, which holds the leases")
	}
	// Another test may hold the number already: then the lease names that test.
	holder, err := registry.Get(t.Context(), leaseKey+number).Result()
	if err == nil && strings.Contains(holder, "testredisdatabaseisexclusive") {
		t.Errorf("the lease is still held by %s", holder)
	}
}

func TestReleaseLeaseKeepsAnotherOwnersLease(t *testing.T) {
	t.Parallel()
	client := redisClient(t, Redis(t))
	client.Set(t.Context(), "lease", "another", 0)
	if err := releaseLease.Run(t.Context(), client, []string{"lease"}, "mine").Err(); err != nil {
		t.Fatal(err)
	}
	if holder := client.Get(t.Context(), "lease").Val(); holder != "another" {
		t.Errorf("holder is %q, want another", holder)
	}
}

func TestS3BucketIsRemovedWithItsContent(t *testing.T) {
	t.Parallel()
	var used S3Config
	t.Run("use", func(t *testing.T) {
		used = S3(t)
		client := s3Client(t, used)
		if err := client.EnableVersioning(t.Context(), used.Bucket); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"first", "second"} { // two versions of one key
			body := bytes.NewReader([]byte(text))
			if _, err := client.PutObject(t.Context(), used.Bucket, "a/key", body, body.Size(), minio.PutObjectOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := client.RemoveObject(t.Context(), used.Bucket, "a/key", minio.RemoveObjectOptions{}); err != nil { // a delete marker
			t.Fatal(err)
		}
		core := minio.Core{Client: client}
		if _, err := core.NewMultipartUpload(t.Context(), used.Bucket, "begun", minio.PutObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	})
	Servers{}.setting(t, envS3Endpoint) // skips when the test above did
	if exists, err := s3Client(t, used).BucketExists(t.Context(), used.Bucket); err != nil || exists {
		t.Errorf("bucket exists: %v, error %v", exists, err)
	}
}

func TestLookup(t *testing.T) {
	directory := t.TempDir()
	below := filepath.Join(directory, "pkg", "deep")
	for path, text := range map[string]string{
		"go.mod":        "module example\n",
		".services/env": "# comment\nexport GRISTMILL_TEST_REDIS_URL='redis://it'\\''s:6379/0?a=b'\nGRISTMILL_TEST_S3_ENDPOINT=http://plain\n",
	} {
		path = filepath.Join(directory, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(below, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{envRedisURL, envS3Endpoint, envPostgresURL} {
		t.Setenv(name, "")
	}
	t.Setenv(envS3AccessKey, "from the environment")
	for name, want := range map[string]string{
		envRedisURL:    "redis://it's:6379/0?a=b",
		envS3Endpoint:  "http://plain",
		envS3AccessKey: "from the environment",
		envPostgresURL: "",
	} {
		if got, err := lookup(name, below); err != nil || got != want {
			t.Errorf("%s is %q, error %v; want %q", name, got, err, want)
		}
	}
	if got, err := lookup(envRedisURL, filepath.Dir(directory)); err != nil || got != "" {
		t.Errorf("outside of a module: %q, error %v; want nothing", got, err)
	}
}

func TestMissingServerSkipsAndFailsInCI(t *testing.T) {
	t.Setenv(envPostgresURL, "")
	t.Chdir(t.TempDir()) // no .services/env above it
	for ci, want := range map[string]string{"": "skipped", "true": "failed"} {
		t.Setenv("CI", ci)
		fake := &recorder{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			Postgres(fake)
		}()
		<-done
		if fake.outcome != want || !strings.Contains(fake.text, "scripts/services up") {
			t.Errorf("CI=%q: %s, %q; want %s and the command", ci, fake.outcome, fake.text, want)
		}
	}
}

func TestUniqueName(t *testing.T) {
	t.Run("Ünicode / and_a very long name with Capitals that no server would take as it is", func(t *testing.T) {
		one, other := uniqueName(t, '-'), uniqueName(t, '-')
		if one == other {
			t.Errorf("uniqueName returned %s twice", one)
		}
		if len(one) > 63 || strings.Trim(one, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || strings.Contains(one, "--") {
			t.Errorf("%q is not a bucket name", one)
		}
	})
}

// recorder is a testing.TB that records how the test ended. Like a real one, it ends its goroutine.
type recorder struct {
	testing.TB
	outcome, text string
}

func (r *recorder) Skipf(format string, arguments ...any)  { r.end("skipped", format, arguments) }
func (r *recorder) Fatalf(format string, arguments ...any) { r.end("failed", format, arguments) }

func (r *recorder) end(outcome, format string, arguments []any) {
	r.outcome, r.text = outcome, fmt.Sprintf(format, arguments...)
	runtime.Goexit()
}

func mustParse(t *testing.T, address string) *url.URL {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func redisClient(t *testing.T, address string) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(address)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	t.Cleanup(func() { client.Close() })
	return client
}

func s3Client(t *testing.T, config S3Config) *minio.Client {
	t.Helper()
	client, err := minio.New(mustParse(t, config.Endpoint).Host, &minio.Options{
		Creds:  credentials.NewStaticV4(config.AccessKey, config.SecretKey, ""),
		Region: config.Region,
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

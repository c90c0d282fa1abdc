package audit

import (
	"context"
	"fmt"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/redis/go-redis/v9"

	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/internal/test/services"
)

// Snapshot returns what the servers hold for an installation: the row count of each table, as
// "table public.jobs", the size of each object, as "object default/019…", and the number of "redis
// keys". It does not contain unfinished uploads, which MinIO lists only for a known name; the tests
// of internal/backend/blob check those.
func Snapshot(t testing.TB, s *program.Installation) map[string]string {
	t.Helper()
	ctx := t.Context()
	holdings := map[string]string{}
	conn := s.Connect()
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, `SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		counted := "SELECT count(*) FROM " + table
		if table == "public.garbage" {
			counted += " WHERE kind <> 'search'" // added and removed each day without any change
		}
		var n int
		if err := conn.QueryRow(ctx, counted).Scan(&n); err != nil {
			t.Fatal(err)
		}
		holdings["table "+table] = fmt.Sprint(n)
	}
	for name, size := range objectSizes(t, s.S3) {
		holdings["object "+name] = fmt.Sprint(size)
	}

	options, err := redis.ParseURL(s.RedisURL)
	if err != nil {
		t.Fatal(err)
	}
	queue := redis.NewClient(options)
	defer queue.Close()
	keys, err := queue.DBSize(ctx).Result()
	if err != nil {
		t.Fatal(err)
	}
	holdings["redis keys"] = fmt.Sprint(keys)
	return holdings
}

// objectSizes returns the sizes of all objects in a bucket, by name.
func objectSizes(t testing.TB, s3 services.S3Config) map[string]int64 {
	t.Helper()
	bucket := S3Client(t, s3)
	sizes := map[string]int64{}
	for object := range bucket.ListObjects(t.Context(), s3.Bucket, minio.ListObjectsOptions{Recursive: true}) {
		if object.Err != nil {
			t.Fatalf("list bucket %s: %v", s3.Bucket, object.Err)
		}
		sizes[object.Key] = object.Size
	}
	return sizes
}

// S3Client returns a client of the object storage, for changes that the programs do not know of.
func S3Client(t testing.TB, s3 services.S3Config) *minio.Client {
	t.Helper()
	endpoint, err := url.Parse(s3.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	bucket, err := minio.New(endpoint.Host, &minio.Options{
		Creds:  credentials.NewStaticV4(s3.AccessKey, s3.SecretKey, ""),
		Secure: endpoint.Scheme == "https",
		Region: s3.Region,
	})
	if err != nil {
		t.Fatal(err)
	}
	return bucket
}

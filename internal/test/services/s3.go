package services

import (
	"context"
	"net/url"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// S3Config is the address of a bucket and the credentials for it.
type S3Config struct {
	Endpoint  string // URL, such as http://127.0.0.1:9000
	AccessKey string
	SecretKey string
	Bucket    string
	Region    string
}

// S3 returns a new, empty bucket for this test. When the test ends, it is removed with all its
// content.
func S3(t testing.TB) S3Config {
	t.Helper()
	return Servers{}.S3(t)
}

// S3 does what the function S3 does, on these servers.
func (s Servers) S3(t testing.TB) S3Config {
	t.Helper()
	config := S3Config{
		Endpoint:  s.setting(t, envS3Endpoint),
		AccessKey: s.setting(t, envS3AccessKey),
		SecretKey: s.setting(t, envS3SecretKey),
		Bucket:    uniqueName(t, '-'),
		Region:    "us-east-1",
	}
	address, err := url.Parse(config.Endpoint)
	if err != nil || address.Host == "" {
		t.Fatalf("%s is not a URL such as http://127.0.0.1:9000", envS3Endpoint)
	}
	client, err := minio.New(address.Host, &minio.Options{
		Creds:  credentials.NewStaticV4(config.AccessKey, config.SecretKey, ""),
		Secure: address.Scheme == "https",
		Region: config.Region,
	})
	if err != nil {
		t.Fatalf("create an S3 client: %v", err)
	}
	if err := client.MakeBucket(t.Context(), config.Bucket, minio.MakeBucketOptions{Region: config.Region}); err != nil {
		t.Fatalf("create bucket %s: %v", config.Bucket, err)
	}
	t.Cleanup(func() {
		ctx, cancel := cleanupContext()
		defer cancel()
		if err := removeBucket(ctx, client, config.Bucket); err != nil {
			t.Errorf("remove bucket %s: %v", config.Bucket, err)
		}
	})
	return config
}

// removeBucket removes every version of every object, every incomplete upload, and then the bucket.
// Returns nil if the test has removed the bucket itself.
func removeBucket(ctx context.Context, client *minio.Client, bucket string) error {
	if exists, err := client.BucketExists(ctx, bucket); err != nil || !exists {
		return err
	}
	listing, cancel := context.WithCancel(ctx)
	defer cancel() // ends a listing that is not read to its end
	for upload := range client.ListIncompleteUploads(listing, bucket, "", true) {
		if upload.Err != nil {
			return upload.Err
		}
		if err := client.RemoveIncompleteUpload(ctx, bucket, upload.Key); err != nil {
			return err
		}
	}
	for object := range client.ListObjects(listing, bucket, minio.ListObjectsOptions{Recursive: true, WithVersions: true}) {
		if object.Err != nil {
			return object.Err
		}
		if err := client.RemoveObject(ctx, bucket, object.Key, minio.RemoveObjectOptions{VersionID: object.VersionID}); err != nil {
			return err
		}
	}
	return client.RemoveBucket(ctx, bucket)
}

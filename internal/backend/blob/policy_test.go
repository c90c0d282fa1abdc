package blob_test

import (
	"bytes"
	"errors"
	"io"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/seed-7a112592/gristmill/internal/backend/blob"
	"github.com/seed-7a112592/gristmill/internal/test/services"
)

// newComposeUser returns a bucket, and a client with the rights that compose.yaml gives to the
// programs' user by its policy.
func newComposeUser(t *testing.T) (blob.S3Config, *minio.Core) {
	t.Helper()
	cfg := blob.S3Config(services.S3(t))
	policy, err := os.ReadFile("../../../scripts/compose/minio-policy.json")
	if err != nil {
		t.Fatal(err)
	}
	session, err := credentials.NewSTSAssumeRole(cfg.Endpoint, credentials.STSAssumeRoleOptions{
		AccessKey: cfg.AccessKey, SecretKey: cfg.SecretKey, DurationSeconds: 3600,
		Policy: strings.ReplaceAll(string(policy), ":::gristmill", ":::"+cfg.Bucket),
	})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(cfg.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	user, err := minio.NewCore(u.Host, &minio.Options{Creds: session, Region: cfg.Region})
	if err != nil {
		t.Fatal(err)
	}
	return cfg, user
}

// The test makes every kind of request that the store makes: an upload in one part, in several
// parts, and one that breaks off; reads; lists; deletes.
func TestComposeUserMayUseItsBucket(t *testing.T) {
	t.Parallel()
	cfg, user := newComposeUser(t)
	s := newS3(t, cfg)
	s.SetClient(user)
	ctx := t.Context()
	if err := errors.Join(s.EnsureBucket(ctx), s.Ping(ctx)); err != nil {
		t.Fatal(err)
	}
	for name, size := range map[string]int{"t/small": 10, "t/of two parts": 9 << 20} {
		text := bytes.Repeat([]byte("x"), size)
		if _, err := s.Put(ctx, name, bytes.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		r, err := s.Open(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s: got %d bytes, %v", name, len(got), err)
		}
	}
	cut := io.MultiReader(bytes.NewReader(make([]byte, 9<<20)), iotest.ErrReader(io.ErrUnexpectedEOF))
	if _, err := s.Put(ctx, "t/cut", cut); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("an upload that breaks off: %v", err)
	}
	wantNoUploads(t, cfg, "t/cut")
	for object, err := range s.List(ctx, "") {
		if err == nil {
			err = s.Delete(ctx, object.Name)
		}
		if err != nil {
			t.Error(err)
		}
	}
}

func TestComposeUserMayDoNothingElse(t *testing.T) {
	t.Parallel()
	cfg, user := newComposeUser(t)
	other := blob.S3Config(services.S3(t))
	if _, err := newMinioClient(t, other).Client.PutObject(t.Context(), other.Bucket, "theirs", strings.NewReader("text"), 4, minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	everything := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":["s3:*"],"Resource":["arn:aws:s3:::` + cfg.Bucket + `/*"]}]}`
	for what, do := range map[string]func() error{
		"make a bucket": func() error { return user.MakeBucket(ctx, other.Bucket+"2", minio.MakeBucketOptions{}) },
		"remove it":     func() error { return user.RemoveBucket(ctx, cfg.Bucket) },
		"open it":       func() error { return user.SetBucketPolicy(ctx, cfg.Bucket, everything) },
		"version it":    func() error { return user.EnableVersioning(ctx, cfg.Bucket) },
		"read another": func() error {
			_, _, _, err := user.GetObject(ctx, other.Bucket, "theirs", minio.GetObjectOptions{})
			return err
		},
		"write another": func() error {
			_, err := user.Client.PutObject(ctx, other.Bucket, "mine", strings.NewReader("text"), 4, minio.PutObjectOptions{})
			return err
		},
		"delete another": func() error { return user.RemoveObject(ctx, other.Bucket, "theirs", minio.RemoveObjectOptions{}) },
		"list another": func() error {
			_, err := user.ListObjectsV2(other.Bucket, "", "", "", "", 1)
			return err
		},
	} {
		if err := do(); minio.ToErrorResponse(err).Code != minio.AccessDenied {
			t.Errorf("%s: got %v, want access denied", what, err)
		}
	}
	if buckets, err := user.ListBuckets(ctx); err == nil && len(buckets) > 1 {
		t.Errorf("the user sees %d buckets", len(buckets))
	}
}

package blob

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

const (
	dialTimeout = 2 * time.Second
	// responseTimeout bounds the wait for the server, in addition to the time for the data that is
	// sent. minUploadRate is how many bytes a second the server must accept; a slower server counts
	// as down.
	responseTimeout = 10 * time.Second
	minUploadRate   = 256 << 10
	// requestTries is how often minio-go sends a request that gets no answer, or whose answer asks
	// for a retry; about a second in total.
	requestTries = 3
	// retryAfter is the wait that callers are asked for when the server cannot be reached.
	retryAfter = 5 * time.Second
)

// S3Config configures the server and the bucket.
type S3Config struct {
	Endpoint  string // URL of the server: http://127.0.0.1:9000, https://s3.eu-west-1.amazonaws.com
	AccessKey string
	SecretKey string
	Bucket    string
	Region    string // if empty, the server is asked
}

// S3 stores objects in a bucket of an S3-compatible server. It is safe for concurrent use.
type S3 struct {
	core            minio.Core
	bucket          string
	endpoint        string
	responseTimeout time.Duration // responseTimeout, except in tests
}

// NewS3 returns the object store in the configured bucket. It does not connect to the server; Ping
// does.
func NewS3(cfg S3Config) (*S3, error) {
	u, err := url.Parse(cfg.Endpoint)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("object storage endpoint %q: want a URL such as http://127.0.0.1:9000", cfg.Endpoint)
	}
	if cfg.Bucket == "" {
		return nil, errors.New("object storage: bucket is not set")
	}
	secure := u.Scheme == "https"
	transport, err := minio.DefaultTransport(secure)
	if err != nil {
		return nil, fmt.Errorf("object storage %s: %w", u.Host, err)
	}
	transport.DialContext = (&net.Dialer{Timeout: dialTimeout}).DialContext
	core, err := minio.NewCore(u.Host, &minio.Options{
		Creds:      credentials.NewStaticV4(cfg.AccessKey, cfg.SecretKey, ""),
		Secure:     secure,
		Transport:  transport,
		Region:     cfg.Region,
		MaxRetries: requestTries,
	})
	if err != nil {
		return nil, fmt.Errorf("object storage %s: %w", u.Host, err)
	}
	return &S3{core: *core, bucket: cfg.Bucket, endpoint: cfg.Endpoint, responseTimeout: responseTimeout}, nil
}

// EnsureBucket creates the bucket if it does not exist. A user without the right to create buckets
// can use an existing one.
func (s *S3) EnsureBucket(ctx context.Context) error {
	if found, err := s.core.BucketExists(ctx, s.bucket); err != nil || found {
		return s.wrapError(ctx, err, "check bucket", s.bucket)
	}
	err := s.core.MakeBucket(ctx, s.bucket, minio.MakeBucketOptions{})
	if isCode(err, minio.BucketAlreadyOwnedByYou) {
		return nil
	}
	return s.wrapError(ctx, err, "create bucket", s.bucket)
}

// isCode reports whether err is a response of the server with that code.
func isCode(err error, code string) bool {
	response, ok := errors.AsType[minio.ErrorResponse](err)
	return ok && response.Code == code
}

// Ping reports whether the server answers and has the bucket.
func (s *S3) Ping(ctx context.Context) error {
	found, err := s.core.BucketExists(ctx, s.bucket)
	if err != nil {
		return s.wrapError(ctx, err, "check bucket", s.bucket)
	}
	if !found {
		return fmt.Errorf("object storage %s has no bucket %q: create it, or configure another", s.endpoint, s.bucket)
	}
	return nil
}

// Delete removes the object, and before it the parts of unfinished uploads of that name. A Put that
// is about to complete then fails, or its object is removed too. Delete returns no error if nothing
// exists.
func (s *S3) Delete(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	timed, cancel := context.WithTimeout(ctx, s.timeoutFor(0))
	defer cancel()
	err := s.core.RemoveIncompleteUpload(timed, s.bucket, name)
	if err != nil && !isCode(err, minio.NoSuchUpload) { // no error if it ended meanwhile
		return s.wrapError(ctx, err, "delete unfinished uploads of object", name)
	}
	err = s.core.RemoveObject(timed, s.bucket, name, minio.RemoveObjectOptions{})
	return s.wrapError(ctx, err, "delete object", name)
}

// List yields the objects whose names begin with prefix, in any order.
func (s *S3) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		options := minio.ListObjectsOptions{Prefix: prefix, Recursive: true}
		for object := range s.core.ListObjectsIter(ctx, s.bucket, options) {
			if object.Err != nil {
				yield(Info{}, s.wrapError(ctx, object.Err, "list objects", prefix+"*"))
				return
			}
			if !yield(Info{Name: object.Key, Size: object.Size, ModTime: object.LastModified}, nil) {
				return
			}
		}
		// minio-go ends the list without an error when ctx ends.
		if err := ctx.Err(); err != nil {
			yield(Info{}, s.wrapError(ctx, err, "list objects", prefix+"*"))
		}
	}
}

// Names yields the names of the objects that List yields.
func (s *S3) Names(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return namesOf(s.List(ctx, prefix))
}

// wrapError turns an error of minio-go into one with a kind. An error that is not a response of the
// server means that the server cannot be reached.
func (s *S3) wrapError(ctx context.Context, err error, operation, name string) error {
	if err == nil {
		return nil
	}
	cause := fmt.Errorf("%s %s: %w", operation, name, err)
	if ctx.Err() != nil {
		return cause
	}
	response, answered := errors.AsType[minio.ErrorResponse](err)
	switch {
	case response.Code == minio.NoSuchKey:
		return fault.Wrap(fault.NotFound, cause, "object %s does not exist", name)
	case response.Code == minio.NoSuchUpload:
		return fault.Wrap(fault.NotFound, cause, "the upload of object %s was aborted", name)
	case response.Code == minio.PreconditionFailed:
		return fault.Wrap(fault.Conflict, cause, "object %s was replaced while it was read", name)
	case !answered, response.StatusCode >= http.StatusInternalServerError,
		response.StatusCode == http.StatusTooManyRequests, response.StatusCode == http.StatusRequestTimeout:
		return fault.Wrap(fault.Unavailable, cause, "object storage cannot be reached").WithRetryAfter(retryAfter)
	}
	return cause
}

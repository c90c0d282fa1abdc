package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/retrypolicy"
	"github.com/minio/minio-go/v7"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

const (
	windowSize    = 1 << 20
	windowTimeout = 30 * time.Second
)

// Open returns a reader of the object, or fault.NotFound. Reads fail after ctx has ended.
func (s *S3) Open(ctx context.Context, name string) (io.ReadSeekCloser, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	info, err := s.core.StatObject(ctx, s.bucket, name, minio.StatObjectOptions{})
	if err != nil {
		return nil, s.wrapError(ctx, err, "open object", name)
	}
	return &s3Reader{ctx: ctx, s3: s, name: name, etag: info.ETag, size: info.Size}, nil
}

// s3Reader reads an object in windows. It holds no connection between reads, so that a slow
// consumer is no problem. A window that breaks off is resumed at the same byte.
type s3Reader struct {
	ctx  context.Context // of Open; Read cannot take one
	s3   *S3
	name string
	etag string // every window must have this ETag
	size int64

	offset int64  // of the next Read
	start  int64  // offset of the window
	window []byte // at most windowSize bytes of the object
}

// Read implements io.Reader.
func (r *s3Reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if r.offset >= r.size {
		return 0, io.EOF
	}
	if r.offset < r.start || r.offset >= r.start+int64(len(r.window)) {
		if err := r.fillWindow(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.window[r.offset-r.start:])
	r.offset += int64(n)
	return n, nil
}

// Seek implements io.Seeker. It sends no request.
func (r *s3Reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.offset
	case io.SeekEnd:
		offset += r.size
	}
	if offset < 0 {
		return 0, fmt.Errorf("seek object %s: offset %d is before its first byte", r.name, offset)
	}
	r.offset = offset
	return offset, nil
}

// ETag returns the object's ETag.
func (r *s3Reader) ETag() string { return r.etag }

// Close implements io.Closer.
func (r *s3Reader) Close() error {
	r.window = nil
	return nil
}

// fillWindow fills the window with the bytes from offset on.
func (r *s3Reader) fillWindow() error {
	length := min(windowSize, r.size-r.offset)
	if int64(cap(r.window)) < length {
		r.window = make([]byte, 0, length)
	}
	r.start, r.window = r.offset, r.window[:0]
	retry := failsafe.With(retrypolicy.NewBuilder[any]().
		HandleIf(func(_ any, err error) bool { return fault.Is(err, fault.Unavailable) }).
		WithMaxRetries(4).
		WithBackoff(100*time.Millisecond, 2*time.Second).
		WithJitterFactor(0.2).
		ReturnLastFailure().
		Build()).WithContext(r.ctx)
	// The count of attempts starts again whenever bytes have arrived.
	for int64(len(r.window)) < length {
		if err := retry.Run(func() error { return r.fetchRest(length) }); err != nil {
			return err
		}
	}
	return nil
}

// fetchRest requests the bytes that the window still needs. It fails if it received none of them.
func (r *s3Reader) fetchRest(length int64) error {
	ctx, cancel := context.WithTimeout(r.ctx, windowTimeout)
	defer cancel()
	have := int64(len(r.window))
	var options minio.GetObjectOptions
	if err := errors.Join(options.SetMatchETag(r.etag), options.SetRange(r.start+have, r.start+length-1)); err != nil {
		return fmt.Errorf("read object %s: %w", r.name, err)
	}
	body, info, _, err := r.s3.core.GetObject(ctx, r.s3.bucket, r.name, options)
	if err != nil {
		return r.s3.wrapError(r.ctx, err, "read object", r.name)
	}
	defer body.Close()
	if info.ETag != r.etag || info.Size != length-have {
		return fault.New(fault.BadResponse, "object storage answered a request for %d bytes of object %s, ETag %s, with %d bytes, ETag %s",
			length-have, r.name, r.etag, info.Size, info.ETag)
	}
	n, err := io.ReadFull(body, r.window[have:length])
	r.window = r.window[:have+int64(n)]
	if n > 0 {
		return nil
	}
	return r.s3.wrapError(r.ctx, err, fmt.Sprintf("read object at byte %d of", r.start+have), r.name)
}

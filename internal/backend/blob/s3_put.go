package blob

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/original"
)

const (
	// partSize is the memory that a Put uses: the minimum size that S3 accepts for a part. For a
	// stream of unknown length, minio-go alone would choose parts for the largest possible object,
	// of half a gibibyte each.
	partSize = 5 << 20
	// maxParts is S3's limit. It allows objects of up to 48 GiB.
	maxParts = 10_000

	// commitTimeout bounds the completion of an upload, which may have many parts.
	commitTimeout = time.Minute
)

// Put stores the content of r under name and replaces an existing object. If r fails or ctx ends
// before the last byte was read, nothing is left behind. The steps that start and complete an
// upload are finished even if ctx ends meanwhile: after an interruption nothing would say whether
// they had succeeded.
func (s *S3) Put(ctx context.Context, name string, r io.Reader) (original.ObjectInfo, error) {
	if err := checkName(name); err != nil {
		return original.ObjectInfo{}, err
	}
	part := &buffer{}
	last, err := part.fill(ctx, r, partSize)
	if err != nil {
		return original.ObjectInfo{}, fmt.Errorf("put object %s: read source: %w", name, err)
	}
	if !last {
		return s.putParts(ctx, name, part, r)
	}
	ctx = context.WithoutCancel(ctx)
	timed, cancel := context.WithTimeout(ctx, s.timeoutFor(part.size))
	defer cancel()
	stored, err := s.core.Client.PutObject(timed, s.bucket, name, part.reader(), part.size, minio.PutObjectOptions{DisableMultipart: true})
	if err != nil {
		return original.ObjectInfo{}, s.wrapError(ctx, err, "put object", name)
	}
	return original.ObjectInfo{Size: part.size, ETag: stored.ETag}, nil
}

// WriteBufferSize returns how much memory Put uses for an object of at most size bytes, or of any
// size if size is 0.
func (s *S3) WriteBufferSize(size int64) int64 {
	if size == 0 || size > partSize {
		return partSize
	}
	return size
}

// timeoutFor returns the time that the server has to accept the given number of bytes.
func (s *S3) timeoutFor(bytes int64) time.Duration {
	return s.responseTimeout + time.Duration(bytes)*time.Second/minUploadRate
}

// putParts uploads part and then the rest of r, one part after another.
func (s *S3) putParts(ctx context.Context, name string, part *buffer, r io.Reader) (object original.ObjectInfo, err error) {
	upload, err := s.startUpload(ctx, name)
	if err != nil {
		return object, err
	}
	defer func() {
		if err != nil {
			err = s.abortUpload(ctx, name, upload, err)
		}
	}()
	var parts []minio.CompletePart
	for last := false; part.size > 0; {
		if len(parts) == maxParts {
			return object, fault.New(fault.TooLarge, "object %s is larger than %d bytes", name, int64(maxParts)*partSize)
		}
		uploaded, err := s.putPart(ctx, name, upload, len(parts)+1, part)
		if err != nil {
			return object, err
		}
		parts = append(parts, uploaded)
		object.Size += part.size
		if last {
			break
		}
		if last, err = part.fill(ctx, r, partSize); err != nil {
			return object, fmt.Errorf("put object %s: read source after %d bytes: %w", name, object.Size, err)
		}
	}
	object.ETag, err = s.completeUpload(ctx, name, upload, parts)
	return object, err
}

// startUpload starts an upload and returns its id.
func (s *S3) startUpload(ctx context.Context, name string) (string, error) {
	ctx = context.WithoutCancel(ctx)
	timed, cancel := context.WithTimeout(ctx, s.timeoutFor(0))
	defer cancel()
	upload, err := s.core.NewMultipartUpload(timed, s.bucket, name, minio.PutObjectOptions{})
	return upload, s.wrapError(ctx, err, "start upload of object", name)
}

func (s *S3) putPart(ctx context.Context, name, upload string, number int, part *buffer) (minio.CompletePart, error) {
	timed, cancel := context.WithTimeout(ctx, s.timeoutFor(part.size))
	defer cancel()
	done, err := s.core.PutObjectPart(timed, s.bucket, name, upload, number,
		part.reader(), part.size, minio.PutObjectPartOptions{})
	if err != nil {
		return minio.CompletePart{}, s.wrapError(ctx, err, fmt.Sprintf("upload part %d of object", number), name)
	}
	return minio.CompletePart{PartNumber: number, ETag: done.ETag}, nil
}

// completeUpload makes the object visible, and returns its ETag.
func (s *S3) completeUpload(ctx context.Context, name, upload string, parts []minio.CompletePart) (string, error) {
	ctx = context.WithoutCancel(ctx)
	timed, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	stored, err := s.core.CompleteMultipartUpload(timed, s.bucket, name, upload, parts, minio.PutObjectOptions{})
	return stored.ETag, s.wrapError(ctx, err, "complete upload of object", name)
}

// abortUpload removes the parts of an upload that failed with cause, and returns cause. If the
// server cannot be reached, it keeps them until Delete.
func (s *S3) abortUpload(ctx context.Context, name, upload string, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeoutFor(0))
	defer cancel()
	err := s.core.AbortMultipartUpload(ctx, s.bucket, name, upload)
	if err != nil && !isCode(err, minio.NoSuchUpload) {
		return fmt.Errorf("%w (upload %s was not aborted: %v)", cause, upload, err)
	}
	return cause
}

// Package original reads originals, and detects objects in storage that are no longer what was
// uploaded.
package original

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

// ObjectOpener opens objects by name. Open returns fault.NotFound if there is no such object. A
// reader reads one version of the object from its first byte to its last; if the object is replaced
// meanwhile, a read may fail with fault.Conflict. If the reader has a method ETag() string, it
// returns the object's ETag; see ObjectInfo.
type ObjectOpener interface {
	Open(ctx context.Context, name string) (io.ReadSeekCloser, error)
}

// Reader reads an original. A read from the first byte to the last, in calls of any size, fails
// with fault.Damaged before it returns the last byte if the bytes do not have the hash of the
// original.
type Reader struct {
	source   io.ReadSeekCloser
	original Ref
	offset   int64 // of the next Read
	hash     hash.Hash
	hashed   int64 // number of bytes, from the first, that are in hash
}

// Open opens an original. It returns fault.NotFound if its object has been deleted, and
// fault.Damaged if the object has another size.
func Open(ctx context.Context, objects ObjectOpener, ref Ref) (*Reader, error) {
	source, err := objects.Open(ctx, ref.Object)
	if fault.Is(err, fault.NotFound) {
		return nil, missingError(ref, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", ref.Object, err)
	}
	r := &Reader{source: source, original: ref, hash: sha256.New()}
	if err := r.checkSize(); err != nil {
		_ = source.Close() // opened for reading: no data is lost
		return nil, err
	}
	return r, nil
}

// checkSize compares the size of the object with that of the original, and rewinds.
func (r *Reader) checkSize() error {
	size, err := r.source.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = r.source.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", r.original.Object, err)
	}
	if size != r.original.Size {
		return damagedError(r.original, "has %d bytes, but %d were uploaded", size, r.original.Size)
	}
	return nil
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	left := r.original.Size - r.offset
	if left <= 0 {
		return 0, io.EOF
	}
	n, err := r.source.Read(p[:min(int64(len(p)), left)])
	if r.offset == r.hashed {
		r.hash.Write(p[:n])
		r.hashed += int64(n)
	}
	r.offset += int64(n)
	switch {
	case r.hashed == r.original.Size && r.offset == r.original.Size:
		if sum := hex.EncodeToString(r.hash.Sum(nil)); sum != r.original.SHA256 {
			r.offset -= int64(n)
			return 0, damagedError(r.original, "has SHA-256 %s, but SHA-256 %s was uploaded", sum, r.original.SHA256)
		}
		return n, nil
	case r.offset == r.original.Size:
		return n, nil
	case err == io.EOF:
		return n, damagedError(r.original, "ends after %d bytes, but %d were uploaded", r.offset, r.original.Size)
	default:
		return n, r.withKind(err)
	}
}

// withKind turns an error of the source into one with a kind.
func (r *Reader) withKind(err error) error {
	switch {
	case err == nil:
		return nil
	case fault.Is(err, fault.NotFound):
		return missingError(r.original, err)
	case fault.Is(err, fault.Conflict): // the next attempt reads the new object
		return fault.Wrap(fault.InterruptedResponse, err, "object %s was replaced while it was read", r.original.Object)
	default:
		return fmt.Errorf("read %s: %w", r.original.Object, err)
	}
}

// Seek implements io.Seeker. Seeking to the first byte restarts the hash.
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	at, err := r.source.Seek(offset, whence)
	if err != nil {
		return 0, fmt.Errorf("seek %s: %w", r.original.Object, err)
	}
	if r.offset = at; at == 0 {
		r.hash.Reset()
		r.hashed = 0
	}
	return at, nil
}

// Close implements io.Closer.
func (r *Reader) Close() error { return r.source.Close() }

// Remedy ends the detail of an error about a missing or damaged original.
const Remedy = "upload the document again with the same content, or restore the object from a backup; gristmill verify lists all damaged documents"

func missingError(ref Ref, cause error) error {
	return fault.Wrap(fault.NotFound, cause, "the original, object %s of %d bytes, is missing from object storage: %s", ref.Object, ref.Size, Remedy)
}

func damagedError(ref Ref, format string, args ...any) error {
	return fault.New(fault.Damaged, "the original is damaged: object %s %s: %s", ref.Object, fmt.Sprintf(format, args...), Remedy)
}

// IsLost reports whether err says that an original is missing or damaged, so that only an upload or
// a backup can restore it.
func IsLost(err error) bool { return fault.Is(err, fault.NotFound) || fault.Is(err, fault.Damaged) }

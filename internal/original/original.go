// Package original reads originals, and notices when object storage no longer
// holds what was uploaded.
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

// ObjectOpener opens objects by name; fault.NotFound when there is none. A reader
// reads one and the same object from its first byte to its last; when the
// object is replaced meanwhile it may fail with fault.Conflict. A reader with a
// method Tag() string tells the object's tag (see document.Object).
type ObjectOpener interface {
	Open(ctx context.Context, name string) (io.ReadSeekCloser, error)
}

// Reader reads an original. A read from the first byte to the last, whichever
// way it is cut into calls, fails with fault.Damaged before its last byte if
// the bytes do not have the hash of the original.
type Reader struct {
	source   io.ReadSeekCloser
	original Ref
	offset   int64 // of the next Read
	hash     hash.Hash
	hashed   int64 // bytes from the first on that hash has seen
}

// Open opens an original. fault.NotFound when its object is gone,
// fault.Damaged when the object has another size.
func Open(ctx context.Context, objects ObjectOpener, of Ref) (*Reader, error) {
	source, err := objects.Open(ctx, of.Object)
	if fault.Is(err, fault.NotFound) {
		return nil, goneError(of, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", of.Object, err)
	}
	r := &Reader{source: source, original: of, hash: sha256.New()}
	if err := r.checkSize(); err != nil {
		_ = source.Close() // read only: nothing is lost
		return nil, err
	}
	return r, nil
}

// checkSize compares the sizes and rewinds.
func (r *Reader) checkSize() error {
	size, err := r.source.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = r.source.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", r.original.Object, err)
	}
	if size != r.original.Size {
		return damagedError(r.original, "has %d bytes, and %d were uploaded", size, r.original.Size)
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
			return 0, damagedError(r.original, "has the SHA-256 %s, and %s was uploaded", sum, r.original.SHA256)
		}
		return n, nil
	case r.offset == r.original.Size:
		return n, nil
	case err == io.EOF:
		return n, damagedError(r.original, "ends after %d bytes, and %d were uploaded", r.offset, r.original.Size)
	default:
		return n, r.withKind(err)
	}
}

// withKind gives an error of the source its kind.
func (r *Reader) withKind(err error) error {
	switch {
	case err == nil:
		return nil
	case fault.Is(err, fault.NotFound):
		return goneError(r.original, err)
	case fault.Is(err, fault.Conflict): // the next attempt reads what is there then
		return fault.Wrap(fault.InterruptedResponse, err, "object %s was replaced while it was read", r.original.Object)
	default:
		return fmt.Errorf("read %s: %w", r.original.Object, err)
	}
}

// Seek implements io.Seeker. Going back to the first byte begins the comparison
// again.
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

// Remedy ends the detail of the fault of an original that is lost.
const Remedy = "upload the document again with the same content, which restores it, or restore the object from a backup; gristmill verify lists all that is damaged"

func goneError(of Ref, cause error) error {
	return fault.Wrap(fault.NotFound, cause, "the original, object %s of %d bytes, is gone from object storage: %s", of.Object, of.Size, Remedy)
}

func damagedError(of Ref, format string, args ...any) error {
	return fault.New(fault.Damaged, "the original is damaged: object %s %s: %s", of.Object, fmt.Sprintf(format, args...), Remedy)
}

// IsLost reports whether err says that an original is gone or damaged, so that
// only an upload or a backup can restore it.
func IsLost(err error) bool { return fault.Is(err, fault.NotFound) || fault.Is(err, fault.Damaged) }

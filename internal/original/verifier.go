package original

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/seed-7a112592/gristmill/internal/required"
)

// VerifierConfig is what a Verifier needs.
type VerifierConfig struct {
	Objects ObjectOpener
}

// Verifier opens originals whose bytes are known to be what was uploaded, so that parts of them can
// be served. An object with a known ETag was compared before: when the document was accepted, or by
// the Verifier. An object with another ETag, for example after a restore from a backup, is read
// once. It is safe for concurrent use.
type Verifier struct {
	VerifierConfig

	mu       sync.Mutex
	verified map[string]Ref // by object: the originals that this Verifier has compared
}

// maxVerified bounds the originals that a Verifier remembers, about 300 bytes each.
const maxVerified = 10_000

// NewVerifier returns a Verifier, or an error that names what config lacks.
func NewVerifier(config VerifierConfig) (*Verifier, error) {
	if err := required.Fields(config); err != nil {
		return nil, err
	}
	return &Verifier{VerifierConfig: config, verified: map[string]Ref{}}, nil
}

// Open opens an original. It returns fault.NotFound if its object has been deleted, and
// fault.Damaged if the object is not what was uploaded.
func (v *Verifier) Open(ctx context.Context, ref Ref) (*Reader, error) {
	r, err := Open(ctx, v.Objects, ref)
	if err != nil {
		return nil, err
	}
	if err := v.verify(r); err != nil {
		_ = r.Close() // opened for reading: no data is lost
		return nil, err
	}
	return r, nil
}

// verify compares an original with its database row: by the ETag if it is known, or else by reading
// the object.
func (v *Verifier) verify(r *Reader) error {
	ref := r.original
	ref.ETag = r.ETag()
	if ref.ETag != "" && (ref.ETag == r.original.ETag || v.isVerified(ref)) {
		return nil
	}
	if err := r.Verify(); err != nil {
		return err
	}
	v.markVerified(ref)
	return nil
}

func (v *Verifier) isVerified(ref Ref) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.verified[ref.Object] == ref
}

func (v *Verifier) markVerified(ref Ref) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.verified) >= maxVerified {
		clear(v.verified)
	}
	v.verified[ref.Object] = ref
}

// Verify reads the original to its end, so that its bytes are compared, and rewinds.
func (r *Reader) Verify() error {
	_, err := r.Seek(0, io.SeekStart)
	if err == nil {
		_, err = io.Copy(io.Discard, r)
	}
	if err == nil {
		_, err = r.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("compare the original: %w", err)
	}
	return nil
}

// ETag returns the ETag of the object that is read, or "" if its reader has none; see ObjectInfo.
func (r *Reader) ETag() string {
	if tagged, ok := r.source.(interface{ ETag() string }); ok {
		return tagged.ETag()
	}
	return ""
}

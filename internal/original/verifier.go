package original

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// Verifier opens originals of which it is known that they are what was uploaded,
// so that parts of them can be served. An object's tag tells whether its bytes
// are those that were compared before: when the document was accepted, or here.
// An object with another tag, as after a backup was restored, is read once.
// It is safe for concurrent use.
type Verifier struct {
	Objects ObjectOpener

	mu       sync.Mutex
	verified map[string]Ref // by object: what was compared here
}

// maxVerified bounds what a Checker remembers, about 300 bytes each.
const maxVerified = 10_000

// Open opens an original. fault.NotFound when its object is gone,
// fault.Damaged when the object is not what was uploaded.
func (c *Verifier) Open(ctx context.Context, of Ref) (*Reader, error) {
	r, err := Open(ctx, c.Objects, of)
	if err != nil {
		return nil, err
	}
	if err := c.verify(r); err != nil {
		_ = r.Close() // read only: nothing is lost
		return nil, err
	}
	return r, nil
}

// verify compares an original with its row, by its tag where that says enough.
func (c *Verifier) verify(r *Reader) error {
	is := r.original
	is.ETag = r.ETag()
	if is.ETag != "" && (is.ETag == r.original.ETag || c.isVerified(is)) {
		return nil
	}
	if err := r.Verify(); err != nil {
		return err
	}
	c.markVerified(is)
	return nil
}

func (c *Verifier) isVerified(is Ref) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.verified[is.Object] == is
}

func (c *Verifier) markVerified(is Ref) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.verified == nil {
		c.verified = map[string]Ref{}
	}
	if len(c.verified) >= maxVerified {
		clear(c.verified)
	}
	c.verified[is.Object] = is
}

// Verify reads the original to its end, and rewinds.
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

// ETag returns the tag of the object that is read (see document.Object), which
// objects tell by a method of that name; empty where they have none.
func (r *Reader) ETag() string {
	if tagged, ok := r.source.(interface{ ETag() string }); ok {
		return tagged.ETag()
	}
	return ""
}

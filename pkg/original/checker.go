package original

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Checker opens originals of which it is known that they are what was uploaded,
// so that parts of them can be served. An object's tag tells whether its bytes
// are those that were compared before: when the document was accepted, or here.
// An object with another tag, as after a backup was restored, is read once.
// It is safe for concurrent use.
type Checker struct {
	Objects Objects

	mu      sync.Mutex
	checked map[string]document.Original // by object: what was compared here
}

// maxChecked bounds what a Checker remembers, about 300 bytes each.
const maxChecked = 10_000

// Open opens an original. fault.NotFound when its object is gone,
// fault.Damaged when the object is not what was uploaded.
func (c *Checker) Open(ctx context.Context, of document.Original) (*Reader, error) {
	r, err := Open(ctx, c.Objects, of)
	if err != nil {
		return nil, err
	}
	if err := c.check(r); err != nil {
		_ = r.Close() // read only: nothing is lost
		return nil, err
	}
	return r, nil
}

// check compares an original with its row, by its tag where that says enough.
func (c *Checker) check(r *Reader) error {
	is := r.of
	is.Tag = r.Tag()
	if is.Tag != "" && (is.Tag == r.of.Tag || c.known(is)) {
		return nil
	}
	if err := r.Compare(); err != nil {
		return err
	}
	c.remember(is)
	return nil
}

func (c *Checker) known(is document.Original) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.checked[is.Object] == is
}

func (c *Checker) remember(is document.Original) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.checked == nil {
		c.checked = map[string]document.Original{}
	}
	if len(c.checked) >= maxChecked {
		clear(c.checked)
	}
	c.checked[is.Object] = is
}

// Compare reads the original to its end, and rewinds.
func (r *Reader) Compare() error {
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

// Tag returns the tag of the object that is read (see document.Object), which
// objects tell by a method of that name; empty where they have none.
func (r *Reader) Tag() string {
	if tagged, ok := r.source.(interface{ Tag() string }); ok {
		return tagged.Tag()
	}
	return ""
}

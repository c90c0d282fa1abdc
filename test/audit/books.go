package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Books remember what was uploaded to a server and what it acknowledged. The
// zero value is empty. Books are safe for concurrent use, but uploads under
// one key must come one after another, so that the last one is known.
type Books struct {
	mu      sync.Mutex
	entries map[string]*entry
}

// entry is what is known of what was done under one key.
type entry struct {
	accepted string // the last text that was acknowledged
	version  int    // of it; 0 for none
	open     map[string]bool
}

// Upload uploads a text, once, and writes down what becomes of it. An error
// leaves open whether it was accepted: the answer may have been lost.
func (b *Books) Upload(ctx context.Context, c *client.Client, key, text string) (document.Accepted, error) {
	accepted, err := c.Upload(ctx, document.UploadRequest{Key: key}, strings.NewReader(text))
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.entries == nil {
		b.entries = map[string]*entry{}
	}
	e := b.entries[key]
	if e == nil {
		e = &entry{open: map[string]bool{}}
		b.entries[key] = e
	}
	if err != nil {
		e.open[text] = true
		return accepted, err
	}
	e.accepted, e.version = text, accepted.Job.Version
	clear(e.open)
	return accepted, nil
}

// Delete deletes the document under a key, once, and writes down that it is
// gone. Nothing may be uploaded under the key at the same time.
func (b *Books) Delete(ctx context.Context, c *client.Client, key string, id uuid.UUID) error {
	if err := c.Delete(ctx, id); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.entries, key)
	return nil
}

// check checks that every accepted document is there, byte for byte, in its
// last accepted version or a newer one, and that nothing is there that was
// never sent.
func (b *Books) check(t testing.TB, c *client.Client) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	documents := Documents(t, c)
	for key, e := range b.entries {
		d, there := documents[key]
		delete(documents, key)
		switch {
		case !there && e.version > 0:
			t.Errorf("%s was accepted and is not there", key)
		case there && d.Version < e.version:
			t.Errorf("%s is at version %d, and version %d was accepted", key, d.Version, e.version)
		case there:
			Document(t, c, d, e.text(d))
		}
	}
	for key := range documents {
		t.Errorf("%s is there and was never sent", key)
	}
}

// text returns which of the texts that the document may have it has, by its
// hash; the accepted one when it has none of them.
func (e *entry) text(d document.Document) string {
	for text := range e.open {
		if sum(text) == d.SHA256 {
			return text
		}
	}
	return e.accepted
}

func sum(text string) string {
	hash := sha256.Sum256([]byte(text))
	return hex.EncodeToString(hash[:])
}

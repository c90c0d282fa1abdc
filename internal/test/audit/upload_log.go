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

// UploadLog records what was uploaded to a server and what the server acknowledged. The zero value
// is empty. It is safe for concurrent use, but uploads of one key must be sequential, so that the
// last one is known.
type UploadLog struct {
	mu      sync.Mutex
	entries map[string]*entry
}

// entry holds the known uploads of one key.
type entry struct {
	acceptedText    string // the last text that was acknowledged
	acceptedVersion int    // version of acceptedText; 0 for none
	unacknowledged  map[string]bool
}

// Upload uploads a text, without retries, and records the result. After an error the upload may or
// may not have been accepted, because the response may have been lost.
func (b *UploadLog) Upload(ctx context.Context, c *client.Client, key, text string) (document.Accepted, error) {
	accepted, err := c.Upload(ctx, document.UploadRequest{Key: key}, strings.NewReader(text))
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.entries == nil {
		b.entries = map[string]*entry{}
	}
	e := b.entries[key]
	if e == nil {
		e = &entry{unacknowledged: map[string]bool{}}
		b.entries[key] = e
	}
	if err != nil {
		e.unacknowledged[text] = true
		return accepted, err
	}
	e.acceptedText, e.acceptedVersion = text, accepted.Job.Version
	clear(e.unacknowledged)
	return accepted, nil
}

// Delete deletes the document of a key, without retries, and records the deletion. The caller must
// not upload that key at the same time.
func (b *UploadLog) Delete(ctx context.Context, c *client.Client, key string, id uuid.UUID) error {
	if err := c.DeleteDocument(ctx, id); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.entries, key)
	return nil
}

// checkDocuments checks that every accepted document exists, byte for byte, in its last accepted
// version or a newer one, and that no other document exists.
func (b *UploadLog) checkDocuments(t testing.TB, c *client.Client) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	documents := Documents(t, c)
	for key, e := range b.entries {
		d, found := documents[key]
		delete(documents, key)
		switch {
		case !found && e.acceptedVersion > 0:
			t.Errorf("%s was accepted but does not exist", key)
		case found && d.Version < e.acceptedVersion:
			t.Errorf("%s is at version %d, but version %d was accepted", key, d.Version, e.acceptedVersion)
		case found:
			CheckDocument(t, c, d, e.expectedText(d))
		}
	}
	for key := range documents {
		t.Errorf("%s exists but was never sent", key)
	}
}

// expectedText returns the sent text whose hash the document has, or the accepted text if none has
// that hash.
func (e *entry) expectedText(d document.Document) string {
	for text := range e.unacknowledged {
		if sha256Hex(text) == d.SHA256 {
			return text
		}
	}
	return e.acceptedText
}

func sha256Hex(text string) string {
	hash := sha256.Sum256([]byte(text))
	return hex.EncodeToString(hash[:])
}

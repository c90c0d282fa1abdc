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

// UploadLog remember what was uploaded to a server and what it acknowledged. The
// zero value is empty. Books are safe for concurrent use, but uploads under
// one key must come one after another, so that the last one is known.
type UploadLog struct {
	mu      sync.Mutex
	entries map[string]*entry
}

// entry is what is known of what was done under one key.
type entry struct {
	acceptedText    string // the last text that was acknowledged
	acceptedVersion int    // of it; 0 for none
	unacknowledged  map[string]bool
}

// Upload uploads a text, once, and writes down what becomes of it. An error
// leaves open whether it was accepted: the answer may have been lost.
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

// Delete deletes the document under a key, once, and writes down that it is
// gone. Nothing may be uploaded under the key at the same time.
func (b *UploadLog) Delete(ctx context.Context, c *client.Client, key string, id uuid.UUID) error {
	if err := c.DeleteDocument(ctx, id); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.entries, key)
	return nil
}

// checkDocuments checks that every accepted document is there, byte for byte, in its
// last accepted version or a newer one, and that nothing is there that was
// never sent.
func (b *UploadLog) checkDocuments(t testing.TB, c *client.Client) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	documents := Documents(t, c)
	for key, e := range b.entries {
		d, there := documents[key]
		delete(documents, key)
		switch {
		case !there && e.acceptedVersion > 0:
			t.Errorf("%s was accepted and is not there", key)
		case there && d.Version < e.acceptedVersion:
			t.Errorf("%s is at version %d, and version %d was accepted", key, d.Version, e.acceptedVersion)
		case there:
			CheckDocument(t, c, d, e.expectedText(d))
		}
	}
	for key := range documents {
		t.Errorf("%s is there and was never sent", key)
	}
}

// expectedText returns which of the texts that the document may have it has, by its
// hash; the accepted one when it has none of them.
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

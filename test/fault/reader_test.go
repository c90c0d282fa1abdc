package fault_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/test/audit"
	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// updatedDocument is a document to which new versions are uploaded while a reader reads it
// continuously.
type updatedDocument struct {
	env  *testEnv
	key  string
	id   uuid.UUID
	stop chan struct{}
	done sync.WaitGroup

	uploadMu sync.Mutex // held during the upload of a version
	random   *rand.Rand

	mu       sync.Mutex
	versions []string // uploaded texts, in order
	seen     int      // index of the newest version that the reader has seen
	answers  int
	refusals int
}

// newUpdatedDocument uploads the first version of a document, waits until it is published, and
// starts the reader.
func newUpdatedDocument(m *testEnv, key string) *updatedDocument {
	m.t.Helper()
	d := &updatedDocument{env: m, key: key, stop: make(chan struct{}), random: rand.New(rand.NewPCG(m.random.Uint64(), 0))}
	d.uploadNext()
	await.Within(m.t, time.Minute, key+" is published", func() bool {
		doc, found := audit.Documents(m.t, m.client())[key]
		d.id = doc.ID
		return found && doc.State == document.DocumentReady
	})
	c := m.client()
	d.done.Go(func() { d.read(c) })
	m.t.Cleanup(d.stopReading)
	return d
}

// uploadNext uploads a new version.
func (d *updatedDocument) uploadNext() {
	d.uploadMu.Lock()
	defer d.uploadMu.Unlock()
	f := newFile(d.random, d.key, 12, 3)
	d.mu.Lock()
	d.versions = append(d.versions, f.text)
	d.mu.Unlock()
	if err := d.env.upload(f); err != nil {
		d.env.t.Errorf("upload %s: %v", f.key, err)
	}
}

// stopReading stops the reader, which must have read at least one answer.
func (d *updatedDocument) stopReading() {
	select {
	case <-d.stop:
		return
	default:
		close(d.stop)
	}
	d.done.Wait()
	d.env.t.Logf("%s was read %d times, up to version %d, with %d refusals", d.key, d.answers, d.seen+1, d.refusals)
	if d.answers == 0 {
		d.env.t.Errorf("%s was never read", d.key)
	}
}

// read reads the passages and the content until stopReading. Every answer must belong to one
// complete version, which is not older than that of the answer before. The API may answer 503, but
// never that the document does not exist.
func (d *updatedDocument) read(c *client.Client) {
	ctx := context.WithoutCancel(d.env.t.Context())
	for {
		select {
		case <-d.stop:
			return
		default:
		}
		list, err := c.Passages(ctx, d.id, document.Page{Limit: 1000})
		d.checkAnswer("passages", err, func(text string) bool { return audit.CheckTiling(text, list.Items) == nil })
		text, err := content(ctx, c, d.id)
		d.checkAnswer("content", err, func(version string) bool { return version == text })
	}
}

func content(ctx context.Context, c *client.Client, id uuid.UUID) (string, error) {
	body, err := c.Content(ctx, id)
	if err != nil {
		return "", err
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	return string(text), err
}

// checkAnswer records an answer. matches reports whether the answer is of the version with a text.
func (d *updatedDocument) checkAnswer(what string, err error, matches func(text string) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil {
		d.refusals++
		if p, ok := errors.AsType[*client.Problem](err); !ok || p.Status != http.StatusServiceUnavailable || p.RetryAfter <= 0 {
			d.env.t.Errorf("%s of %s: %v", what, d.key, err)
		}
		return
	}
	d.answers++
	for version := d.seen; version < len(d.versions); version++ {
		if matches(d.versions[version]) {
			d.seen = version
			return
		}
	}
	d.env.t.Errorf("the %s of %s match no version from %d to %d", what, d.key, d.seen+1, len(d.versions))
}

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

// updatedDocument is a document of which version after version is uploaded while a
// reader looks at it all the time.
type updatedDocument struct {
	env  *testEnv
	key  string
	id   uuid.UUID
	stop chan struct{}
	done sync.WaitGroup

	uploadMu sync.Mutex // of the next version: they are uploaded one after another
	random   *rand.Rand

	mu       sync.Mutex
	versions []string // texts that were sent, in order
	seen     int      // index of the newest that the reader has seen
	answers  int
	refusals int
}

// newUpdatedDocument uploads the first version of a document, waits until it is live,
// and begins to read it.
func newUpdatedDocument(m *testEnv, key string) *updatedDocument {
	m.t.Helper()
	d := &updatedDocument{env: m, key: key, stop: make(chan struct{}), random: rand.New(rand.NewPCG(m.random.Uint64(), 0))}
	d.uploadNext()
	await.Within(m.t, time.Minute, key+" is live", func() bool {
		doc, there := audit.Documents(m.t, m.client())[key]
		d.id = doc.ID
		return there && doc.State == document.DocumentReady
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

// stopReading ends the reader. It must have been answered.
func (d *updatedDocument) stopReading() {
	select {
	case <-d.stop:
		return
	default:
		close(d.stop)
	}
	d.done.Wait()
	d.env.t.Logf("%s was read %d times, up to version %d, and refused %d times", d.key, d.answers, d.seen+1, d.refusals)
	if d.answers == 0 {
		d.env.t.Errorf("%s was never read", d.key)
	}
}

// read asks for the passages and for the content, until end. Every answer must
// be of one whole version, none older than the one before. The API may say
// that it cannot answer now; it must not say that there is nothing.
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

// checkAnswer takes down an answer, of which is says whether it is one to a version.
func (d *updatedDocument) checkAnswer(what string, err error, is func(text string) bool) {
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
		if is(d.versions[version]) {
			d.seen = version
			return
		}
	}
	d.env.t.Errorf("the %s of %s are of no version from %d to %d", what, d.key, d.seen+1, len(d.versions))
}

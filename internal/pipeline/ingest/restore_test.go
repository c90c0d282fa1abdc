package ingest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/pipeline/ingest"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

func (m *fakeBackend) Open(_ context.Context, name string) (io.ReadSeekCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	object, ok := m.objects[name]
	if !ok {
		return nil, fault.New(fault.NotFound, "no object %s", name)
	}
	return struct {
		io.ReadSeeker
		io.Closer
	}{bytes.NewReader(object), io.NopCloser(nil)}, nil
}

func (m *fakeBackend) Document(context.Context, uuid.UUID) (document.Document, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.there.Object == "" {
		return document.Document{}, fault.New(fault.NotFound, "no such document")
	}
	return m.there, nil
}

func (m *fakeBackend) RestoreOriginal(_ context.Context, _ uuid.UUID, lost string, upload original.Upload) (document.Accepted, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.restoreErr) > 0 {
		err := m.restoreErr[0]
		m.restoreErr = m.restoreErr[1:]
		return document.Accepted{}, err
	}
	if lost != m.there.Object {
		return document.Accepted{}, errors.New("another object is lost")
	}
	delete(m.notes, upload.Object)
	m.restored = append(m.restored, upload)
	return document.Accepted{Document: m.there, Job: document.Job{ID: uuid.New()}, Unchanged: true, Restored: true}, nil
}

// An upload of what is there already restores an original that is not, and
// leaves one alone that is.
func TestUploadRestoresTheOriginal(t *testing.T) {
	t.Parallel()
	const text = "# The mill\n\nIt grinds.\n"
	changed := fault.New(fault.Conflict, "the document has changed")
	for name, test := range map[string]struct {
		stored   *string
		replayed bool
		prepare  func(*fakeBackend)
		restored bool
		kind     fault.Kind // of the failure; empty for none
	}{
		"whole":                     {stored: ptr(text)},
		"gone":                      {restored: true},
		"empty":                     {stored: ptr(""), restored: true},
		"truncated":                 {stored: ptr(text[:9]), restored: true},
		"longer":                    {stored: ptr(text + "x"), restored: true},
		"replaced":                  {stored: ptr(strings.ToUpper(text)), restored: true},
		"replayed":                  {replayed: true, restored: true},
		"replayed, whole":           {replayed: true, stored: ptr(text)},
		"replayed, deleted since":   {replayed: true, prepare: func(m *fakeBackend) { m.there = document.Document{} }},
		"replayed, changed since":   {replayed: true, prepare: func(m *fakeBackend) { m.there.SHA256 = "another" }},
		"replayed, changed now":     {replayed: true, prepare: func(m *fakeBackend) { m.restoreErr = []error{changed} }},
		"changed once meanwhile":    {prepare: func(m *fakeBackend) { m.restoreErr = []error{changed} }, restored: true},
		"changed again and again":   {prepare: func(m *fakeBackend) { m.restoreErr = []error{changed, changed, changed} }, kind: fault.Conflict},
		"given up meanwhile":        {prepare: func(m *fakeBackend) { m.restoreErr = []error{fault.New(fault.NotFound, "given up")} }, kind: fault.Unavailable},
		"the database cannot write": {prepare: func(m *fakeBackend) { m.restoreErr = []error{fault.New(fault.Unavailable, "down")} }, kind: fault.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			step, m := newService(t)
			m.unchanged, m.replayed = !test.replayed, test.replayed
			m.there = document.Document{Object: "default/old", Size: int64(len(text)), SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(text)))}
			if test.stored != nil {
				m.objects["default/old"] = []byte(*test.stored)
			}
			if test.prepare != nil {
				test.prepare(m)
			}
			accepted, err := step.Upload(tenantContext(t), document.UploadRequest{Key: "k.md"}, strings.NewReader(text))
			if test.kind == "" && err != nil || test.kind != "" && !fault.Is(err, test.kind) {
				t.Fatalf("got %v, want %q", err, test.kind)
			}
			if accepted.Restored != test.restored || accepted.Replayed && !test.replayed || (len(m.restored) == 1) != test.restored {
				t.Errorf("answer %+v, and %d originals were restored", accepted, len(m.restored))
			}
			delete(m.objects, "default/old")
			if test.restored {
				if up := m.restored[0]; string(m.objects[up.Object]) != text || up.ObjectETag != "tag" {
					t.Errorf("restored from %+v, which holds %q", up, m.objects[up.Object])
				}
			} else if test.kind != fault.Unavailable && len(m.objects)+len(m.notes) != 0 {
				t.Errorf("left %d objects and %d notes", len(m.objects), len(m.notes))
			}
		})
	}
}

// deadlineRecorder notes how long the originals may take that it opens.
type deadlineRecorder struct {
	ingest.Originals
	left time.Duration
}

func (d *deadlineRecorder) Open(ctx context.Context, of original.Ref) (*original.Reader, error) {
	at, _ := ctx.Deadline()
	d.left = time.Until(at)
	return d.Originals.Open(ctx, of)
}

// An original of which nothing is known has to be read whole, which a large one
// has the time for.
func TestLargeOriginalHasTimeToBeCompared(t *testing.T) {
	t.Parallel()
	const mib = 8
	text := strings.Repeat("grain ground by the mill stones\n", mib<<15)
	step, m := newService(t)
	step.MaxBytes = mib << 20
	d := &deadlineRecorder{Originals: step.Originals}
	step.Originals = d
	m.unchanged, m.objects["default/old"] = true, []byte(text)
	m.there = document.Document{Object: "default/old", Size: int64(len(text)), SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(text)))}
	if accepted, err := step.Upload(tenantContext(t), document.UploadRequest{Key: "k.md"}, strings.NewReader(text)); err != nil || accepted.Restored {
		t.Fatalf("%+v, %v", accepted, err)
	}
	if want := mib * time.Second; d.left < want+20*time.Second {
		t.Errorf("has %s to be read, want %s beside what the transaction has", d.left, want)
	}
}

func ptr(s string) *string { return &s }

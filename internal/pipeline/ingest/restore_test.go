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
	if m.current.Object == "" {
		return document.Document{}, fault.New(fault.NotFound, "no such document")
	}
	return m.current, nil
}

func (m *fakeBackend) RestoreOriginal(_ context.Context, _ uuid.UUID, lost string, upload original.Upload) (document.Accepted, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.restoreErr) > 0 {
		err := m.restoreErr[0]
		m.restoreErr = m.restoreErr[1:]
		return document.Accepted{}, err
	}
	if lost != m.current.Object {
		return document.Accepted{}, errors.New("another object is lost")
	}
	delete(m.notes, upload.Object)
	m.restored = append(m.restored, upload)
	return document.Accepted{Document: m.current, Job: document.Job{ID: uuid.New()}, Unchanged: true, Restored: true}, nil
}

// Uploading existing content again restores a missing or damaged original, and leaves an intact one
// alone.
func TestUploadRestoresTheOriginal(t *testing.T) {
	t.Parallel()
	const text = "# The mill\n\nIt grinds.\n"
	changed := fault.New(fault.Conflict, "the document has changed")
	for name, test := range map[string]struct {
		stored   *string
		replayed bool
		prepare  func(*fakeBackend)
		restored bool
		kind     fault.Kind // of the error; empty for none
	}{
		"intact":                    {stored: ptr(text)},
		"missing":                   {restored: true},
		"empty":                     {stored: ptr(""), restored: true},
		"truncated":                 {stored: ptr(text[:9]), restored: true},
		"longer":                    {stored: ptr(text + "x"), restored: true},
		"replaced":                  {stored: ptr(strings.ToUpper(text)), restored: true},
		"replayed":                  {replayed: true, restored: true},
		"replayed, intact":          {replayed: true, stored: ptr(text)},
		"replayed, deleted since":   {replayed: true, prepare: func(m *fakeBackend) { m.current = document.Document{} }},
		"replayed, changed since":   {replayed: true, prepare: func(m *fakeBackend) { m.current.SHA256 = "another" }},
		"replayed, changed now":     {replayed: true, prepare: func(m *fakeBackend) { m.restoreErr = []error{changed} }},
		"changed once meanwhile":    {prepare: func(m *fakeBackend) { m.restoreErr = []error{changed} }, restored: true},
		"changed repeatedly":        {prepare: func(m *fakeBackend) { m.restoreErr = []error{changed, changed, changed} }, kind: fault.Conflict},
		"expired meanwhile":         {prepare: func(m *fakeBackend) { m.restoreErr = []error{fault.New(fault.NotFound, "expired")} }, kind: fault.Unavailable},
		"the database cannot write": {prepare: func(m *fakeBackend) { m.restoreErr = []error{fault.New(fault.Unavailable, "down")} }, kind: fault.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service, m := newService(t)
			m.unchanged, m.replayed = !test.replayed, test.replayed
			m.current = document.Document{Object: "default/old", Size: int64(len(text)), SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(text)))}
			if test.stored != nil {
				m.objects["default/old"] = []byte(*test.stored)
			}
			if test.prepare != nil {
				test.prepare(m)
			}
			accepted, err := service.Upload(tenantContext(t), document.UploadRequest{Key: "k.md"}, strings.NewReader(text))
			if test.kind == "" && err != nil || test.kind != "" && !fault.Is(err, test.kind) {
				t.Fatalf("got error %v, want kind %q", err, test.kind)
			}
			if accepted.Restored != test.restored || accepted.Replayed && !test.replayed || (len(m.restored) == 1) != test.restored {
				t.Errorf("result %+v, %d originals restored, want restored: %t", accepted, len(m.restored), test.restored)
			}
			delete(m.objects, "default/old")
			if test.restored {
				if up := m.restored[0]; string(m.objects[up.Object]) != text || up.ObjectETag != "tag" {
					t.Errorf("restored from %+v, whose object holds %q", up, m.objects[up.Object])
				}
			} else if test.kind != fault.Unavailable && len(m.objects)+len(m.notes) != 0 {
				t.Errorf("left %d objects and %d notes, want none", len(m.objects), len(m.notes))
			}
		})
	}
}

// deadlineRecorder records the time that is left when an original is opened.
type deadlineRecorder struct {
	ingest.Originals
	left time.Duration
}

func (d *deadlineRecorder) Open(ctx context.Context, of original.Ref) (*original.Reader, error) {
	at, _ := ctx.Deadline()
	d.left = time.Until(at)
	return d.Originals.Open(ctx, of)
}

// An original with an unknown ETag has to be read completely. A large one gets enough time for that.
func TestLargeOriginalGetsTimeToBeRead(t *testing.T) {
	t.Parallel()
	const mib = 8
	text := strings.Repeat("grain ground by the mill stones\n", mib<<15)
	service, m := newService(t)
	service.MaxBytes = mib << 20
	d := &deadlineRecorder{Originals: service.Originals}
	service.Originals = d
	m.unchanged, m.objects["default/old"] = true, []byte(text)
	m.current = document.Document{Object: "default/old", Size: int64(len(text)), SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(text)))}
	if accepted, err := service.Upload(tenantContext(t), document.UploadRequest{Key: "k.md"}, strings.NewReader(text)); err != nil || accepted.Restored {
		t.Fatalf("%+v, %v", accepted, err)
	}
	if want := mib * time.Second; d.left < want+20*time.Second {
		t.Errorf("%s to read the original, want at least %s and 20s for the transaction", d.left, want)
	}
}

func ptr(s string) *string { return &s }

package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// The fake store refuses an object without a note, and the removal of a note before its object is
// deleted.
func TestObjectsAndNotesOfUploads(t *testing.T) {
	t.Parallel()
	down := fault.New(fault.Unavailable, "connection reset")
	for name, test := range map[string]struct {
		prepare        func(*fakeBackend)
		objects, notes int
		kind           fault.Kind // of the error; empty for none
	}{
		"accepted":  {func(*fakeBackend) {}, 1, 0, ""},
		"unchanged": {func(m *fakeBackend) { m.unchanged = true }, 0, 0, ""},
		"replayed":  {func(m *fakeBackend) { m.replayed = true }, 0, 0, ""},
		"refused":   {func(m *fakeBackend) { m.acceptErr = errors.New("violates a constraint") }, 0, 0, fault.Internal},
		"conflict":  {func(m *fakeBackend) { m.acceptErr = fault.New(fault.Conflict, "another request") }, 0, 0, fault.Conflict},
		// The upload may have expired.
		"expired": {func(m *fakeBackend) { m.acceptErr = fault.New(fault.NotFound, "expired") }, 0, 0, fault.Unavailable},
		// It is not known whether the transaction was committed. If it was, deleting the object would
		// lose the original; the transaction has removed the note.
		"uncertain":      {func(m *fakeBackend) { m.acceptErr = down }, 1, 1, fault.Unavailable},
		"uncertain late": {func(m *fakeBackend) { m.acceptErr = fmt.Errorf("commit: %w", context.DeadlineExceeded) }, 1, 1, fault.Internal},
		// It is not known whether the object was written.
		"object storage down": {func(m *fakeBackend) { m.putErr = down }, 0, 1, fault.Unavailable},
		"object refused":      {func(m *fakeBackend) { m.putErr = errors.New("access denied") }, 0, 0, fault.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			service, m := newService(t)
			test.prepare(m)
			_, err := service.Upload(tenantContext(t), document.UploadRequest{Key: "k.md"}, strings.NewReader("text"))
			if test.kind == "" && err != nil || test.kind != "" && !fault.Is(err, test.kind) {
				t.Errorf("got error %v, want kind %q", err, test.kind)
			}
			if m.dispatched > 0 && (test.kind != "" || m.unchanged || m.replayed) {
				t.Error("dispatched, although no document was accepted")
			}
			if len(m.objects) != test.objects || len(m.notes) != test.notes {
				t.Errorf("left %d objects and %d notes, want %d and %d", len(m.objects), len(m.notes), test.objects, test.notes)
			}
		})
	}
}

func TestExpiredUploadMustBeSentAgain(t *testing.T) {
	t.Parallel()
	service, m := newService(t)
	m.acceptErr = fault.New(fault.NotFound, "expired")
	_, err := service.Upload(tenantContext(t), document.UploadRequest{Key: "k.md"}, strings.NewReader("text"))
	if f := fault.As(err); f == nil || f.RetryAfter <= 0 || !strings.Contains(f.Detail, "send it again") {
		t.Errorf("got error %v, want a request to send it again, with a delay", err)
	}
}

// unreadBody fails the test when it is read.
type unreadBody struct{ t *testing.T }

func (u unreadBody) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestUploadIsRefusedUnreadWhileTheStoreIsDown(t *testing.T) {
	t.Parallel()
	service, m := newService(t)
	m.storeErr = fault.New(fault.Unavailable, "the database is down")
	_, err := service.Upload(tenantContext(t), document.UploadRequest{Key: "k.md"}, unreadBody{t})
	if !fault.Is(err, fault.Unavailable) {
		t.Errorf("got error %v, want unavailable", err)
	}
}

// A client that disconnects during an upload leaves nothing behind.
func TestUploadWhoseClientDisconnects(t *testing.T) {
	t.Parallel()
	service, m := newService(t)
	ctx, cancel := context.WithCancel(tenantContext(t))
	body := readerFunc(func([]byte) (int, error) {
		cancel()
		return 0, ctx.Err()
	})
	if _, err := service.Upload(ctx, document.UploadRequest{Key: "k.md"}, body); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want %v", err, context.Canceled)
	}
	if len(m.objects)+len(m.notes) != 0 {
		t.Errorf("left %d objects and %d notes, want none", len(m.objects), len(m.notes))
	}
}

// The body is complete when its object is stored. If the transaction ended with the client, its
// outcome would be unknown.
func TestUploadWhoseClientDisconnectsAfterTheBody(t *testing.T) {
	t.Parallel()
	service, m := newService(t)
	ctx, cancel := context.WithCancel(tenantContext(t))
	m.onStored = cancel
	if _, err := service.Upload(ctx, document.UploadRequest{Key: "k.md"}, strings.NewReader("text")); err != nil {
		t.Errorf("got error %v, want the document accepted", err)
	}
	if len(m.objects) != 1 || len(m.uploads) != 1 || m.dispatched != 1 {
		t.Errorf("%d objects, %d accepted, %d dispatched, want 1 of each", len(m.objects), len(m.uploads), m.dispatched)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

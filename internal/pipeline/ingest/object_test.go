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

// What becomes of the object and its note: memory itself refuses an object
// without a note, and a note that goes before its object.
func TestObjectsOfUploads(t *testing.T) {
	t.Parallel()
	down := fault.New(fault.Unavailable, "connection reset")
	for name, test := range map[string]struct {
		prepare        func(*fakeBackend)
		objects, notes int
		kind           fault.Kind // of the failure; empty for none
	}{
		"accepted":  {func(*fakeBackend) {}, 1, 0, ""},
		"unchanged": {func(m *fakeBackend) { m.unchanged = true }, 0, 0, ""},
		"replayed":  {func(m *fakeBackend) { m.replayed = true }, 0, 0, ""},
		"refused":   {func(m *fakeBackend) { m.acceptErr = errors.New("violates a constraint") }, 0, 0, fault.Internal},
		"conflict":  {func(m *fakeBackend) { m.acceptErr = fault.New(fault.Conflict, "another request") }, 0, 0, fault.Conflict},
		// The sweep may have been there before the object was.
		"given up": {func(m *fakeBackend) { m.acceptErr = fault.New(fault.NotFound, "given up") }, 0, 0, fault.Unavailable},
		// Nobody knows whether the transaction was committed: a document
		// without an original would be lost. If it was, it took the note.
		"uncertain":      {func(m *fakeBackend) { m.acceptErr = down }, 1, 1, fault.Unavailable},
		"uncertain late": {func(m *fakeBackend) { m.acceptErr = fmt.Errorf("commit: %w", context.DeadlineExceeded) }, 1, 1, fault.Internal},
		// Nor whether the object was written.
		"object storage down": {func(m *fakeBackend) { m.putErr = down }, 0, 1, fault.Unavailable},
		"object refused":      {func(m *fakeBackend) { m.putErr = errors.New("access denied") }, 0, 0, fault.Internal},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			step, m := newService(t)
			test.prepare(m)
			_, err := step.Upload(tenantContext(t), document.UploadRequest{Key: "k.md"}, strings.NewReader("text"))
			if test.kind == "" && err != nil || test.kind != "" && !fault.Is(err, test.kind) {
				t.Errorf("got %v, want %q", err, test.kind)
			}
			if m.dispatched > 0 && (test.kind != "" || m.unchanged || m.replayed) {
				t.Error("dispatched what was not accepted")
			}
			if len(m.objects) != test.objects || len(m.notes) != test.notes {
				t.Errorf("left %d objects and %d notes, want %d and %d", len(m.objects), len(m.notes), test.objects, test.notes)
			}
		})
	}
}

func TestUploadThatWasGivenUpIsToBeSentAgain(t *testing.T) {
	t.Parallel()
	step, m := newService(t)
	m.acceptErr = fault.New(fault.NotFound, "given up")
	_, err := step.Upload(tenantContext(t), document.UploadRequest{Key: "k.md"}, strings.NewReader("text"))
	if f := fault.As(err); f == nil || f.RetryAfter <= 0 || !strings.Contains(f.Detail, "send it again") {
		t.Errorf("got %v, want to be told to send it again, and when", err)
	}
}

// unreadBody fails the test when it is read.
type unreadBody struct{ t *testing.T }

func (u unreadBody) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestStoreDownRefusesUploadsUnread(t *testing.T) {
	t.Parallel()
	step, m := newService(t)
	m.storeErr = fault.New(fault.Unavailable, "the database is down")
	_, err := step.Upload(tenantContext(t), document.UploadRequest{Key: "k.md"}, unreadBody{t})
	if !fault.Is(err, fault.Unavailable) {
		t.Error(err)
	}
}

// The client goes while its document is on the way: nothing of it stays.
func TestUploadWhoseClientGoes(t *testing.T) {
	t.Parallel()
	step, m := newService(t)
	ctx, cancel := context.WithCancel(tenantContext(t))
	body := readerFunc(func([]byte) (int, error) {
		cancel()
		return 0, ctx.Err()
	})
	if _, err := step.Upload(ctx, document.UploadRequest{Key: "k.md"}, body); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if len(m.objects)+len(m.notes) != 0 {
		t.Errorf("left %d objects and %d notes", len(m.objects), len(m.notes))
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Package ingest is the first step: it takes an upload in, so that nothing
// accepted can be lost, and hands it to the queue.
package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/required"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// Objects keeps originals. Put is all or nothing: an object that could not be
// written whole is not there. An error of r comes back wrapped. Delete removes
// the object and whatever a Put that failed has left under its name. WriteBuffer
// returns how much memory Put holds while it writes an object of at most size
// bytes, or of any size if that is 0.
type Objects interface {
	Put(ctx context.Context, name string, r io.Reader) (original.ObjectInfo, error)
	Delete(ctx context.Context, name string) error
	WriteBufferSize(size int64) int64
}

// Originals opens originals: fault.NotFound for one that is gone, fault.Damaged
// for one that is not what was uploaded.
type Originals interface {
	Open(ctx context.Context, of original.Ref) (*original.Reader, error)
}

// Store accepts documents; see storetest.Ingest for the contract.
type Store interface {
	EnsureCollection(ctx context.Context, name string, model document.Model, chunking document.Chunking) (vector.Collection, error)
	Collection(ctx context.Context, name string) (vector.Collection, error)
	BeginUpload(ctx context.Context, object string) error
	AcceptUpload(ctx context.Context, upload original.Upload) (document.Accepted, error)
	RestoreOriginal(ctx context.Context, id uuid.UUID, lost string, upload original.Upload) (document.Accepted, error)
	Document(ctx context.Context, id uuid.UUID) (document.Document, error)
	AbortUpload(ctx context.Context, object string) error
	Backlog(ctx context.Context) (task.Backlog, error)
}

// Dispatcher puts into the queue what there is room for. It does not fail, and
// returns soon when the queue is down: what is not dispatched now is later.
type Dispatcher interface {
	Dispatch(ctx context.Context)
}

// Config is what a service needs.
type Config struct {
	Objects         Objects
	Originals       Originals
	Store           Store
	Dispatcher      Dispatcher
	Log             *slog.Logger
	MaxBytes        int64             // of one original
	Memory          *MemoryLimit      // of all uploads under way
	BacklogLimit    task.Backlog      // of a tenant; uploads past it are refused
	DefaultModel    document.Model    // of collections made on first use
	DefaultChunking document.Chunking // of collections made on first use

	// OnModelNeeded, if not nil, is called when a document was accepted into a
	// collection that holds nothing yet: its model is about to be needed.
	OnModelNeeded func(ctx context.Context) `zero:"ok"`
}

// Service takes uploads in.
type Service struct {
	Config
	backlogs backlogCache
}

// NewService returns a service, or an error that names what config lacks.
func NewService(config Config) (*Service, error) {
	if err := required.Fields(config); err != nil {
		return nil, err
	}
	return &Service{Config: config}, nil
}

// beginTimeout bounds what is asked of the store before the body is read.
const beginTimeout = 5 * time.Second

// acceptTimeout bounds the transaction that accepts a document. It runs on
// when the client goes, so that its outcome is known. An original that is there
// already may have to be read for that, which takes slowestRead bytes a second
// at the least.
const (
	acceptTimeout = 30 * time.Second
	minReadRate   = 1 << 20
)

// cleanupTimeout bounds removing an object that turned out not to be wanted.
const cleanupTimeout = 10 * time.Second

// Upload streams body to object storage, checking it on the way, and then
// accepts it: the document, its version and its job are one transaction. When
// Upload returns without error nothing can lose the document any more; when
// it returns an error nothing of it is stored. While the tenant's backlog is
// at its limit, there is no memory, or the store is down, the body is not read.
func (s *Service) Upload(ctx context.Context, request document.UploadRequest, body io.Reader) (accepted document.Accepted, err error) {
	owner, err := tenant.From(ctx)
	if err != nil {
		return document.Accepted{}, fmt.Errorf("upload: %w", err)
	}
	request, err = checkRequest(request)
	if err != nil {
		return document.Accepted{}, err
	}
	leave, err := s.admitUpload(ctx, owner)
	if err != nil {
		return document.Accepted{}, fmt.Errorf("upload %s: %w", request.Key, err)
	}
	defer func() { leave(accepted) }()
	release, err := s.Memory.reserve(ctx, s.Objects.WriteBufferSize(request.MaxSize))
	if err != nil {
		return document.Accepted{}, fmt.Errorf("upload %s: %w", request.Key, err)
	}
	defer release()
	object, err := s.beginUpload(ctx, owner)
	if err != nil {
		return document.Accepted{}, fmt.Errorf("upload %s: %w", request.Key, err)
	}
	accepted, err = s.storeUpload(ctx, request, object, body)
	if err != nil || !isReferenced(accepted) {
		s.discardObject(ctx, object, err)
	}
	if fault.Is(err, fault.NotFound) {
		err = fault.Wrap(fault.Unavailable, err, "the upload took too long and was given up; send it again").WithRetryAfter(time.Second)
	}
	if err != nil {
		return document.Accepted{}, fmt.Errorf("upload %s: %w", request.Key, err)
	}
	if isReferenced(accepted) {
		s.Dispatcher.Dispatch(ctx)
	}
	return accepted, nil
}

// beginUpload names an object and notes in the store that it is about to be written:
// what becomes of this process, the object will be found.
func (s *Service) beginUpload(ctx context.Context, owner string) (object string, err error) {
	ctx, cancel := context.WithTimeout(ctx, beginTimeout)
	defer cancel()
	if object, err = newObjectName(owner); err != nil {
		return "", err
	}
	return object, s.Store.BeginUpload(ctx, object)
}

// storeUpload writes the object and has the store accept it. fault.NotFound when the
// sweep has given the upload up meanwhile.
func (s *Service) storeUpload(ctx context.Context, request document.UploadRequest, object string, body io.Reader) (document.Accepted, error) {
	content, err := newCheckedReader(body, s.MaxBytes, request.MediaType)
	if err != nil {
		return document.Accepted{}, err
	}
	stored, err := s.Objects.Put(ctx, object, content)
	if err != nil {
		return document.Accepted{}, err
	}
	// From here on the client may go: what it sent is whole.
	return s.acceptUpload(context.WithoutCancel(ctx), request, object, stored.ETag, content)
}

// isReferenced reports whether the upload's object is named by a version.
func isReferenced(accepted document.Accepted) bool { return isNew(accepted) || accepted.Restored }

// isNew reports whether a document was accepted, and not found to be there.
func isNew(accepted document.Accepted) bool {
	return accepted.Job.ID != uuid.Nil && !accepted.Unchanged && !accepted.Replayed
}

// acceptUpload describes the stored original by what the request says, completed by
// the front matter and the first heading of the document itself, and has the
// store accept it.
func (s *Service) acceptUpload(ctx context.Context, request document.UploadRequest, object, tag string, content *checkedReader) (document.Accepted, error) {
	ctx, cancel := context.WithTimeout(ctx, acceptTimeout+time.Duration(content.size)*time.Second/minReadRate)
	defer cancel()
	media := mediaType(request)
	own := readHead(content.head, markdown.SyntaxOf(media, request.Key))
	title := cmp.Or(request.Title, own.title)
	metadata, err := own.mergeMetadata(request.Metadata)
	if err != nil {
		return document.Accepted{}, err
	}
	fingerprint, err := fingerprintOf(request, content.sha256Hex())
	if err != nil {
		return document.Accepted{}, err
	}
	// Only now: what cannot be accepted must not leave a collection behind.
	collection, err := s.uploadCollection(ctx, request)
	if err != nil {
		return document.Accepted{}, err
	}
	accepted, err := s.acceptOrRestore(ctx, original.Upload{
		Collection:   collection,
		Key:          request.Key,
		Title:        cmp.Or(title, document.BaseName(request.Key)),
		TitleFromKey: title == "",
		Metadata:     metadata,
		MediaType:    media,
		Object:       object,
		Size:         content.size,
		SHA256:       content.sha256Hex(),
		ObjectETag:   tag,
		Warnings:     own.warnings,

		Condition:      request.Condition,
		IdempotencyKey: request.IdempotencyKey,
		Fingerprint:    fingerprint,
	})
	if err == nil && collection.SpaceReplaceable && s.OnModelNeeded != nil {
		s.OnModelNeeded(ctx)
	}
	return accepted, err
}

// uploadCollection returns the collection of an upload, made on first use unless the
// upload is to replace something.
func (s *Service) uploadCollection(ctx context.Context, request document.UploadRequest) (vector.Collection, error) {
	if !request.Condition.NeedsDocument() {
		return s.Store.EnsureCollection(ctx, request.Collection, s.DefaultModel, s.DefaultChunking)
	}
	collection, err := s.Store.Collection(ctx, request.Collection)
	if fault.Is(err, fault.NotFound) {
		err = fault.Wrap(fault.PreconditionFailed, err, "there is no collection %q, and so no document to replace", request.Collection)
	}
	return collection, err
}

// discardObject removes an object that is not wanted, and then its note. cause is
// why the document was not accepted. Both stay for the sweep when that leaves
// open whether it was, and when object storage is down; if the transaction was
// committed after all, it has taken the note.
func (s *Service) discardObject(ctx context.Context, object string, cause error) {
	if fault.Is(cause, fault.Unavailable) || errors.Is(cause, context.DeadlineExceeded) {
		s.Log.WarnContext(ctx, "upload came to nothing; the sweep will see to its object", "object", object, "error", cause)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	err := s.Objects.Delete(ctx, object)
	if err == nil {
		err = s.Store.AbortUpload(ctx, object)
	}
	if err != nil {
		s.Log.WarnContext(ctx, "object of an upload that came to nothing not removed; the sweep will see to it", "object", object, "error", err)
	}
}

// newObjectName returns a name that no other upload has, in the tenant's own
// folder. Names sort by time of upload.
func newObjectName(owner string) (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("name the object: %w", err)
	}
	return owner + "/" + id.String(), nil
}

// Package ingest is the first step. It accepts uploads so that no accepted document can be lost, and
// has their tasks dispatched.
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

// Objects holds originals. Put writes all or nothing: if it fails, there is no object. It wraps
// errors of r. Delete deletes the object and what a failed Put has left under its name.
// WriteBufferSize returns the size of the memory that Put needs for an object of at most size bytes,
// or of any size if size is 0.
type Objects interface {
	Put(ctx context.Context, name string, r io.Reader) (original.ObjectInfo, error)
	Delete(ctx context.Context, name string) error
	WriteBufferSize(size int64) int64
}

// Originals opens originals. Open returns fault.NotFound if the original is missing, and
// fault.Damaged if it is not what was uploaded.
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

// Dispatcher puts tasks into the queue while there is room. It does not fail, and returns soon if the
// queue is down. The sweep dispatches what it could not.
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
	MaxBytes        int64             // maximum size of an original
	Memory          *MemoryLimit      // shared by all uploads under way
	BacklogLimit    task.Backlog      // of one tenant; uploads above it are refused
	DefaultModel    document.Model    // of new collections
	DefaultChunking document.Chunking // of new collections

	// OnModelNeeded, if not nil, is called when a document was accepted into a collection that holds
	// nothing yet: its model will be needed soon.
	OnModelNeeded func(ctx context.Context) `zero:"ok"`
}

// Service accepts uploads.
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

// beginTimeout bounds the calls of the store before the body is read.
const beginTimeout = 5 * time.Second

// acceptTimeout bounds the transaction that accepts a document. The transaction goes on if the client
// disconnects, so that its outcome is known. It may have to read an existing original, for which
// more time is added: minReadRate is the minimum rate in bytes per second.
const (
	acceptTimeout = 30 * time.Second
	minReadRate   = 1 << 20
)

// cleanupTimeout bounds the deletion of an object that is not needed.
const cleanupTimeout = 10 * time.Second

// Upload streams body to object storage, checks it meanwhile, and then accepts it: one transaction
// writes the document, its version and its job. After Upload has returned without an error, the
// document cannot be lost; after an error, nothing of it is stored. If the backlog of the tenant is
// at its limit, there is no memory, or the store is down, Upload does not read the body.
func (s *Service) Upload(ctx context.Context, request document.UploadRequest, body io.Reader) (accepted document.Accepted, err error) {
	tenantID, err := tenant.From(ctx)
	if err != nil {
		return document.Accepted{}, fmt.Errorf("upload: %w", err)
	}
	request, err = checkRequest(request)
	if err != nil {
		return document.Accepted{}, err
	}
	releaseBacklog, err := s.admitUpload(ctx, tenantID)
	if err != nil {
		return document.Accepted{}, fmt.Errorf("upload %s: %w", request.Key, err)
	}
	defer func() { releaseBacklog(accepted) }()
	release, err := s.Memory.reserve(ctx, s.Objects.WriteBufferSize(request.MaxSize))
	if err != nil {
		return document.Accepted{}, fmt.Errorf("upload %s: %w", request.Key, err)
	}
	defer release()
	object, err := s.beginUpload(ctx, tenantID)
	if err != nil {
		return document.Accepted{}, fmt.Errorf("upload %s: %w", request.Key, err)
	}
	accepted, err = s.storeUpload(ctx, request, object, body)
	if err != nil || !isReferenced(accepted) {
		s.discardObject(ctx, object, err)
	}
	if fault.Is(err, fault.NotFound) {
		err = fault.Wrap(fault.Unavailable, err, "the upload took too long and has expired; send it again").WithRetryAfter(time.Second)
	}
	if err != nil {
		return document.Accepted{}, fmt.Errorf("upload %s: %w", request.Key, err)
	}
	if isReferenced(accepted) {
		s.Dispatcher.Dispatch(ctx)
	}
	return accepted, nil
}

// beginUpload names an object, and notes in the store that it is about to be written. So the object
// is found and deleted if this process dies.
func (s *Service) beginUpload(ctx context.Context, tenantID string) (object string, err error) {
	ctx, cancel := context.WithTimeout(ctx, beginTimeout)
	defer cancel()
	if object, err = newObjectName(tenantID); err != nil {
		return "", err
	}
	return object, s.Store.BeginUpload(ctx, object)
}

// storeUpload writes the object and accepts the upload. It returns fault.NotFound if the upload has
// expired meanwhile.
func (s *Service) storeUpload(ctx context.Context, request document.UploadRequest, object string, body io.Reader) (document.Accepted, error) {
	content, err := newCheckedReader(body, s.MaxBytes, request.MediaType)
	if err != nil {
		return document.Accepted{}, err
	}
	stored, err := s.Objects.Put(ctx, object, content)
	if err != nil {
		return document.Accepted{}, err
	}
	// From here on the client may disconnect: the body is complete.
	return s.acceptUpload(context.WithoutCancel(ctx), request, object, stored.ETag, content)
}

// isReferenced reports whether a version names the object of the upload.
func isReferenced(accepted document.Accepted) bool { return isNew(accepted) || accepted.Restored }

// isNew reports whether the upload has created a version.
func isNew(accepted document.Accepted) bool {
	return accepted.Job.ID != uuid.Nil && !accepted.Unchanged && !accepted.Replayed
}

// acceptUpload accepts the stored original. It describes the document by the request, completed by
// the front matter and the first heading of the document.
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
	// Only now, so that an upload that cannot be accepted does not create a collection.
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

// uploadCollection returns the collection of an upload. It creates it on first use, unless the upload
// must replace a document.
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

// discardObject deletes an object that is not needed, and then its note. cause is the error with
// which the upload failed, or nil. If cause does not say whether the document was accepted, or object
// storage is down, both stay for the garbage collector. If the transaction was committed after all,
// it has removed the note, and the object stays.
func (s *Service) discardObject(ctx context.Context, object string, cause error) {
	if fault.Is(cause, fault.Unavailable) || errors.Is(cause, context.DeadlineExceeded) {
		s.Log.WarnContext(ctx, "upload failed; garbage collection will delete its object", "object", object, "error", cause)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTimeout)
	defer cancel()
	err := s.Objects.Delete(ctx, object)
	if err == nil {
		err = s.Store.AbortUpload(ctx, object)
	}
	if err != nil {
		s.Log.WarnContext(ctx, "object of a failed upload could not be deleted; garbage collection will delete it", "object", object, "error", err)
	}
}

// newObjectName returns a unique name for an object, in the folder of the tenant. Names sort by the
// time of the upload.
func newObjectName(tenantID string) (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("name the object: %w", err)
	}
	return tenantID + "/" + id.String(), nil
}

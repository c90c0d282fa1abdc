package httpapi_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// fake replaces every step and store. It keeps uploaded documents, and refuses what the steps refuse.
type fake struct {
	mu               sync.Mutex
	documents        []document.Document
	objects          map[string][]byte
	jobs             map[uuid.UUID]document.Job
	requests         []document.UploadRequest // of uploads, without MaxSize
	sizes            []int64                  // MaxSize of the requests
	conditions       []document.Condition     // of deletes
	searches         []document.SearchRequest
	reindexes        []document.Reindex // oldest first
	beginRequests    []document.ReindexRequest
	estimateRequests []document.ReindexRequest
	webhooks         []document.Webhook
	failure          error // of every call; nil for none
	panics           bool

	summaries map[string]document.SummaryMode // by collection

	maxBytes int
	changes  chan struct{}
	watching int // number of watches that are not stopped
	overlay  func(*document.Job)
}

func newFake() *fake {
	return &fake{
		objects:   map[string][]byte{},
		summaries: map[string]document.SummaryMode{"default": ""},
		jobs:      map[uuid.UUID]document.Job{},
		maxBytes:  1 << 20,
		changes:   make(chan struct{}),
		overlay:   func(*document.Job) {},
	}
}

// lockAndCheck checks that ctx has a tenant, and locks the fake. Callers must call unlock.
func (f *fake) lockAndCheck(ctx context.Context) (unlock func(), err error) {
	f.mu.Lock()
	if f.panics {
		f.mu.Unlock()
		panic("secret of the fake")
	}
	if _, err := tenant.From(ctx); err != nil {
		f.mu.Unlock()
		return nil, err
	}
	if f.failure != nil {
		f.mu.Unlock()
		return nil, f.failure
	}
	return f.mu.Unlock, nil
}

// failWith makes every call fail with err; if err is nil, calls succeed again.
func (f *fake) failWith(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failure = err
}

func (f *fake) Upload(ctx context.Context, request document.UploadRequest, body io.Reader) (document.Accepted, error) {
	content, err := io.ReadAll(io.LimitReader(body, int64(f.maxBytes)+1))
	if err != nil {
		return document.Accepted{}, fault.Wrap(fault.Unavailable, err, "object storage cannot be reached")
	}
	unlock, err := f.lockAndCheck(ctx)
	if err != nil {
		return document.Accepted{}, err
	}
	defer unlock()
	switch {
	case request.Key == "" || strings.Contains(request.Key, ".."):
		return document.Accepted{}, fault.New(fault.BadRequest, "key %q", request.Key)
	case len(content) > f.maxBytes:
		return document.Accepted{}, fault.New(fault.TooLarge, "over %d bytes", f.maxBytes)
	case bytes.HasPrefix(content, []byte("\x89PNG")):
		return document.Accepted{}, fault.New(fault.UnsupportedMediaType, "image/png")
	case !utf8.Valid(content):
		return document.Accepted{}, fault.New(fault.InvalidEncoding, "not UTF-8 at byte 3").WithOffset(3)
	case len(bytes.TrimSpace(content)) == 0:
		return document.Accepted{}, fault.New(fault.EmptyDocument, "empty")
	case len(request.Metadata) > 0 && !json.Valid(request.Metadata):
		return document.Accepted{}, fault.New(fault.InvalidMetadata, "metadata: byte 1").WithOffset(1)
	}
	f.sizes = append(f.sizes, request.MaxSize)
	request.MaxSize = 0
	f.requests = append(f.requests, request)
	hash := sha256.Sum256(content)
	doc := document.Document{
		ID: uuid.Must(uuid.NewV7()), Collection: request.Collection, Key: request.Key, Title: request.Title,
		State: document.DocumentPending, Version: 1, Size: int64(len(content)), SHA256: hex.EncodeToString(hash[:]),
		MediaType: "text/markdown", Metadata: json.RawMessage(`{}`), Object: request.Key,
	}
	for _, have := range f.documents {
		if have.Key == doc.Key && have.Collection == doc.Collection && have.SHA256 == doc.SHA256 {
			for _, job := range f.jobs {
				if job.DocumentID == have.ID {
					return document.Accepted{Document: have, Job: job, Unchanged: true}, nil
				}
			}
		}
	}
	job := document.Job{ID: uuid.Must(uuid.NewV7()), DocumentID: doc.ID, Collection: doc.Collection, Version: 1, State: document.JobQueued}
	f.documents = append(f.documents, doc)
	f.objects[doc.Object] = content
	f.jobs[job.ID] = job
	return document.Accepted{Document: doc, Job: job}, nil
}

func (f *fake) Document(ctx context.Context, id uuid.UUID) (document.Document, error) {
	unlock, err := f.lockAndCheck(ctx)
	if err != nil {
		return document.Document{}, err
	}
	defer unlock()
	for _, doc := range f.documents {
		if doc.ID == id {
			return doc, nil
		}
	}
	return document.Document{}, fault.New(fault.NotFound, "no document %s", id)
}

func (f *fake) Documents(ctx context.Context, filter document.DocumentFilter, page document.Page) (document.List[document.Document], error) {
	unlock, err := f.lockAndCheck(ctx)
	if err != nil {
		return document.List[document.Document]{}, err
	}
	defer unlock()
	if page.Cursor != "" {
		return document.List[document.Document]{}, fault.New(fault.BadRequest, "invalid cursor %q", page.Cursor)
	}
	var list document.List[document.Document]
	for _, doc := range f.documents {
		if strings.HasPrefix(doc.Key, filter.KeyPrefix) && (filter.State == "" || filter.State == doc.State) && len(list.Items) < page.Limit {
			list.Items = append(list.Items, doc)
		}
	}
	return list, nil
}

func (f *fake) Passages(ctx context.Context, id uuid.UUID, _ document.Page) (document.List[document.Passage], error) {
	doc, err := f.Document(ctx, id)
	if err != nil {
		return document.List[document.Passage]{}, err
	}
	return document.List[document.Passage]{Items: []document.Passage{{End: doc.Size, HeadingPath: []string{}, Content: string(f.objects[doc.Object])}}}, nil
}

func (f *fake) Summary(ctx context.Context, id uuid.UUID) (document.Summary, error) {
	if _, err := f.Document(ctx, id); err != nil {
		return document.Summary{}, err
	}
	return document.Summary{}, fault.New(fault.NotFound, "document %s has no summary yet", id)
}

func (f *fake) DeleteDocument(ctx context.Context, id uuid.UUID, conditions ...document.Condition) error {
	if _, err := f.Document(ctx, id); err != nil {
		return err
	}
	f.conditions = append(f.conditions, conditions...)
	f.documents = slices.DeleteFunc(f.documents, func(d document.Document) bool { return d.ID == id })
	return nil
}

func (f *fake) Job(ctx context.Context, id uuid.UUID) (document.Job, error) {
	unlock, err := f.lockAndCheck(ctx)
	if err != nil {
		return document.Job{}, err
	}
	defer unlock()
	job, ok := f.jobs[id]
	if !ok {
		return document.Job{}, fault.New(fault.NotFound, "no job %s", id)
	}
	return job, nil
}

func (f *fake) Jobs(ctx context.Context, filter document.JobFilter, page document.Page) (document.List[document.Job], error) {
	unlock, err := f.lockAndCheck(ctx)
	if err != nil {
		return document.List[document.Job]{}, err
	}
	defer unlock()
	if page.Cursor != "" {
		return document.List[document.Job]{}, fault.New(fault.BadRequest, "invalid cursor %q", page.Cursor)
	}
	var list document.List[document.Job]
	for _, job := range f.jobs {
		if (filter.State == "" || filter.State == job.State) && (filter.DocumentID == uuid.Nil || filter.DocumentID == job.DocumentID) {
			list.Items = append(list.Items, job)
		}
	}
	return list, nil
}

func (f *fake) RequestSummary(ctx context.Context, id uuid.UUID) (document.Job, error) {
	doc, err := f.Document(ctx, id)
	if err != nil {
		return document.Job{}, err
	}
	if f.summaries[doc.Collection] == document.SummariesOff {
		return document.Job{}, fault.New(fault.Conflict, "summaries of this collection are off")
	}
	return document.Job{ID: uuid.New(), DocumentID: id, State: document.JobRunning}, nil
}

func (f *fake) Collection(ctx context.Context, name string) (vector.Collection, error) {
	unlock, err := f.lockAndCheck(ctx)
	if err != nil {
		return vector.Collection{}, err
	}
	defer unlock()
	mode, exists := f.summaries[name]
	if !exists {
		return vector.Collection{}, fault.New(fault.NotFound, "collection %q does not exist", name)
	}
	return vector.Collection{Name: name, Summaries: mode, ActiveSpace: vector.Space{
		Model: document.Model{Name: "m", Dimensions: 3}, Chunking: document.Chunking{Tokens: 400}}}, nil
}

func (f *fake) Collections(ctx context.Context, page document.Page) (list document.List[vector.Collection], err error) {
	if page.Cursor != "" {
		return list, fault.New(fault.BadRequest, "invalid cursor %q", page.Cursor)
	}
	for _, name := range slices.Sorted(maps.Keys(f.summaries)) {
		if len(list.Items) == page.Limit {
			list.NextCursor = name
			break
		}
		c, err := f.Collection(ctx, name)
		if err != nil {
			return list, err
		}
		list.Items = append(list.Items, c)
	}
	return list, nil
}

func (f *fake) SetSummaryMode(ctx context.Context, name string, mode document.SummaryMode) (vector.Collection, error) {
	if _, err := f.Collection(ctx, name); err != nil {
		return vector.Collection{}, err
	}
	f.summaries[name] = mode
	return f.Collection(ctx, name)
}

func (f *fake) Cancel(ctx context.Context, id uuid.UUID) (document.Job, error) {
	job, err := f.Job(ctx, id)
	switch {
	case err != nil || job.State == document.JobCancelled:
		return job, err
	case job.State.Ended():
		return document.Job{}, fault.New(fault.Conflict, "job %s has %s", id, job.State)
	}
	return f.setJobState(id, document.JobCancelled), nil
}

func (f *fake) Retry(ctx context.Context, id uuid.UUID) (document.Job, error) {
	job, err := f.Job(ctx, id)
	switch {
	case err != nil || !job.State.Ended():
		return job, err
	case job.State == document.JobSucceeded:
		return document.Job{}, fault.New(fault.Conflict, "job %s has succeeded", id)
	}
	return f.setJobState(id, document.JobQueued), nil
}

// setJobState changes the state of a job without a notification.
func (f *fake) setJobState(id uuid.UUID, state document.JobState) document.Job {
	f.mu.Lock()
	defer f.mu.Unlock()
	job := f.jobs[id]
	job.State, job.Error = state, ""
	if state == document.JobFailed {
		job.Error = "the model does not answer"
	}
	f.jobs[id] = job
	return job
}

func (f *fake) Open(ctx context.Context, name string) (io.ReadSeekCloser, error) {
	unlock, err := f.lockAndCheck(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	content, ok := f.objects[name]
	if !ok {
		return nil, fault.New(fault.NotFound, "no object %q", name)
	}
	return struct {
		io.ReadSeeker
		io.Closer
	}{bytes.NewReader(content), io.NopCloser(nil)}, nil
}

func (f *fake) RefreshProgress(_ context.Context, job *document.Job) { f.overlay(job) }

func (f *fake) Watch(context.Context, uuid.UUID) (<-chan struct{}, func()) {
	f.watch(1)
	return f.changes, func() { f.watch(-1) }
}

func (f *fake) watch(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watching += n
}

func (f *fake) Search(ctx context.Context, request document.SearchRequest) (document.SearchResult, error) {
	unlock, err := f.lockAndCheck(ctx)
	if err != nil {
		return document.SearchResult{}, err
	}
	defer unlock()
	f.searches = append(f.searches, request)
	if request.Mode != "vector" {
		return document.SearchResult{}, fault.New(fault.BadRequest, "mode %q is not available yet", request.Mode)
	}
	return document.SearchResult{}, nil
}

// observedRequest is a request that fakeMetrics has counted.
type observedRequest struct {
	Route, Method string
	Status        int
}

type fakeMetrics struct {
	mu  sync.Mutex
	all []observedRequest
}

func (m *fakeMetrics) ObserveRequest(route, method string, status int, _ time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = append(m.all, observedRequest{route, method, status})
}

package ingest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/pipeline/ingest"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// fakeBackend is an object store, a database and a dispatcher.
type fakeBackend struct {
	mu         sync.Mutex
	objects    map[string][]byte
	notes      map[string]bool // by object: uploads under way
	uploads    []original.Upload
	dispatched int // number of uploads at the last Dispatch
	backlog    task.Backlog

	collections  int // number of collections created
	backlogCalls int // number of calls of Backlog

	onStored func() // if set, called when an object has been stored

	storeErr  error // error of BeginUpload
	putErr    error
	acceptErr error
	unchanged bool
	replayed  bool

	current    document.Document // the document of an unchanged or replayed upload
	restoreErr []error           // errors of RestoreOriginal, one after another
	restored   []original.Upload
}

func (m *fakeBackend) BeginUpload(_ context.Context, object string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.storeErr != nil {
		return m.storeErr
	}
	m.notes[object] = true
	return nil
}

func (m *fakeBackend) AbortUpload(ctx context.Context, object string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, exists := m.objects[object]; exists {
		return errors.New("the note is removed before its object is deleted")
	}
	delete(m.notes, object)
	return nil
}

func (m *fakeBackend) Backlog(context.Context) (task.Backlog, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.backlogCalls++
	return m.backlog, nil
}

func (m *fakeBackend) Put(_ context.Context, name string, r io.Reader) (original.ObjectInfo, error) {
	body, err := io.ReadAll(r)
	if err != nil {
		return original.ObjectInfo{}, fmt.Errorf("put %s: %w", name, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.notes[name] {
		return original.ObjectInfo{}, errors.New("an object is written without a note")
	}
	if m.putErr != nil {
		return original.ObjectInfo{}, m.putErr
	}
	m.objects[name] = body
	if m.onStored != nil {
		m.onStored()
	}
	return original.ObjectInfo{Size: int64(len(body)), ETag: "tag"}, nil
}

func (m *fakeBackend) WriteBufferSize(size int64) int64 { return size }

func (m *fakeBackend) Delete(ctx context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	delete(m.objects, name)
	return nil
}

func (m *fakeBackend) EnsureCollection(ctx context.Context, name string, model document.Model, chunking document.Chunking) (vector.Collection, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return vector.Collection{}, err
	}
	m.collections++
	return vector.Collection{ID: uuid.New(), Name: name, ActiveSpace: vector.Space{Model: model, Chunking: chunking}}, nil
}

func (m *fakeBackend) Collection(_ context.Context, name string) (vector.Collection, error) {
	return vector.Collection{}, fault.New(fault.NotFound, "there is no collection %q", name)
}

func (m *fakeBackend) AcceptUpload(ctx context.Context, upload original.Upload) (document.Accepted, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return document.Accepted{}, err
	}
	if m.acceptErr != nil {
		return document.Accepted{}, m.acceptErr
	}
	accepted := document.Accepted{Document: m.current, Job: document.Job{ID: uuid.New(), DocumentID: uuid.New(), Version: 1}}
	accepted.Unchanged, accepted.Replayed = m.unchanged, m.replayed
	if !m.unchanged && !m.replayed {
		accepted.Document.Size = upload.Size
		delete(m.notes, upload.Object)
		m.uploads = append(m.uploads, upload)
		m.backlog.Jobs++
		m.backlog.Bytes += upload.Size
	}
	return accepted, nil
}

func (m *fakeBackend) Dispatch(ctx context.Context) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := tenant.From(ctx); err == nil {
		m.dispatched = len(m.uploads)
	}
}

func newService(t *testing.T) (*ingest.Service, *fakeBackend) {
	t.Helper()
	m := &fakeBackend{objects: map[string][]byte{}, notes: map[string]bool{}}
	originals, err := original.NewVerifier(original.VerifierConfig{Objects: m})
	if err != nil {
		t.Fatal(err)
	}
	service, err := ingest.NewService(ingest.Config{
		Objects: m, Originals: originals, Store: m, Dispatcher: m,
		Log:             slog.New(slog.NewTextHandler(t.Output(), nil)),
		MaxBytes:        1 << 20,
		Memory:          ingest.NewMemoryLimit(ingest.MinMemoryLimit, func(int64) {}),
		BacklogLimit:    task.Backlog{Jobs: 100, Bytes: 1 << 30},
		DefaultModel:    document.Model{Name: "local", Dimensions: 8},
		DefaultChunking: document.Chunking{Tokens: 400},
	})
	if err != nil {
		t.Fatal(err)
	}
	return service, m
}

func tenantContext(t *testing.T) context.Context { return tenant.With(t.Context(), tenant.Default) }

func TestUploadStoresAcceptsAndDispatches(t *testing.T) {
	t.Parallel()
	service, m := newService(t)
	const text = "---\ntitle: Mills\ntags: [flour, water]\nyear: 1850\n---\n# The mill\n\nIt grinds.\n"
	request := document.UploadRequest{Key: "mills/old.md", Metadata: json.RawMessage(`{"year": 1851}`)}
	if _, err := service.Upload(tenantContext(t), request, iotest.OneByteReader(strings.NewReader(text))); err != nil {
		t.Fatal(err)
	}
	if len(m.uploads) != 1 || m.dispatched != 1 {
		t.Fatalf("%d accepted, %d dispatched; want 1 and 1", len(m.uploads), m.dispatched)
	}
	got := m.uploads[0]
	if stored := m.objects[got.Object]; string(stored) != text {
		t.Errorf("stored %q, want %q", stored, text)
	}
	if !strings.HasPrefix(got.Object, "default/") {
		t.Errorf("object %q is not in the tenant's folder", got.Object)
	}
	sum := sha256.Sum256([]byte(text))
	got.Object, got.Collection, got.Fingerprint = "", vector.Collection{Name: got.Collection.Name}, ""
	want := original.Upload{
		Collection: vector.Collection{Name: "default"},
		Key:        "mills/old.md",
		Title:      "Mills",
		Metadata:   json.RawMessage(`{"tags":["flour","water"],"title":"Mills","year":1851}`),
		MediaType:  "text/markdown",
		Size:       int64(len(text)),
		SHA256:     hex.EncodeToString(sum[:]),
		ObjectETag: "tag",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTitleOfAnUpload(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ title, text, want string }{
		{"Given", "---\ntitle: Own\n---\n# First\n", "Given"},
		{"", "---\ntitle: Own\n---\n# First\n", "Own"},
		{"", "---\ntitle: [broken\n---\n# First\n", "First"},
		{"", "---\ntitle: 1.10\n---\n# First\n", "1.10"},
		{"", "+++\ntitle = \"Own\"\n+++\n# First\n", "Own"},
		{"", "Intro\n\nFirst\n=====\n", "First"},
		{"", "no heading\n", "page"},
	} {
		service, m := newService(t)
		if _, err := service.Upload(tenantContext(t), document.UploadRequest{Key: "a/page.md", Title: test.title}, strings.NewReader(test.text)); err != nil {
			t.Fatal(err)
		}
		if got := m.uploads[0].Title; got != test.want {
			t.Errorf("title of %q is %q, want %q", test.text, got, test.want)
		}
	}
}

// A document that cannot be accepted leaves nothing behind, wherever the fault is and however the bytes
// arrive.
func TestInvalidContentStoresNothing(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("grain ", 20_000)
	for name, test := range map[string]struct {
		body   string
		kind   fault.Kind
		offset int64 // -1 for none
	}{
		"empty":                    {"", fault.EmptyDocument, -1},
		"white space":              {" \t\r\n\u00a0\u3000", fault.EmptyDocument, -1},
		"only a byte order mark":   {"\ufeff\n", fault.EmptyDocument, -1},
		"invalid first byte":       {"\xffabc", fault.InvalidEncoding, 0},
		"invalid later":            {long + "\xc3(", fault.InvalidEncoding, int64(len(long))},
		"surrogate":                {"ab\xed\xa0\x80", fault.InvalidEncoding, 2},
		"overlong":                 {"\xc0\xaf", fault.InvalidEncoding, 0},
		"incomplete rune":          {"grain \xe2\x82", fault.InvalidEncoding, 6},
		"NUL":                      {"gra\x00in", fault.InvalidEncoding, 3},
		"invalid before NUL":       {"g\xff\x00", fault.InvalidEncoding, 1},
		"UTF-16":                   {"\xff\xfeg\x00r\x00", fault.InvalidEncoding, 0},
		"too large":                {strings.Repeat("x", 1<<20+1), fault.TooLarge, -1},
		"PNG":                      {"\x89PNG\x0d\x0a\x1a\x0a\x00\x00\x00\x0dIHDR", fault.UnsupportedMediaType, -1},
		"PDF":                      {"%PDF-1.7\n1 0 obj\n", fault.UnsupportedMediaType, -1},
		"JPEG":                     {"\xff\xd8\xff\xe0\x00\x10JFIF", fault.UnsupportedMediaType, -1},
		"ZIP, such as a Word file": {"PK\x03\x04\x14\x00\x06\x00", fault.UnsupportedMediaType, -1},
	} {
		for how, reader := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "data with EOF": iotest.DataErrReader,
		} {
			service, m := newService(t)
			_, err := service.Upload(tenantContext(t), document.UploadRequest{Key: "k.md"}, reader(strings.NewReader(test.body)))
			f := fault.As(err)
			if f == nil || f.Kind != test.kind {
				t.Errorf("%s, %s: got error %v, want %s", name, how, err, test.kind)
				continue
			}
			offset := int64(-1)
			if f.Offset != nil {
				offset = *f.Offset
			}
			if offset != test.offset {
				t.Errorf("%s, %s: offset %d, want %d", name, how, offset, test.offset)
			}
			if len(m.objects)+len(m.notes)+len(m.uploads)+m.dispatched+m.collections != 0 {
				t.Errorf("%s, %s: left %d objects, %d notes, %d uploads, %d dispatched, %d collections, want none", name, how, len(m.objects), len(m.notes), len(m.uploads), m.dispatched, m.collections)
			}
		}
	}
}

func TestTextWithABinarySignatureIsText(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"BM25 ranks documents.", "ID3 tags hold titles.", "GIF89a is a format.", "OggS", "\ufeff# Title", "%!PS-Adobe- is how PostScript begins", "가나다 곡물"} {
		service, _ := newService(t)
		if _, err := service.Upload(tenantContext(t), document.UploadRequest{Key: "k.md"}, strings.NewReader(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestInvalidRequestsStoreNothing(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		request document.UploadRequest
		kind    fault.Kind
	}{
		{document.UploadRequest{}, fault.BadRequest},
		{document.UploadRequest{Key: "../secret"}, fault.BadRequest},
		{document.UploadRequest{Key: "a/../b"}, fault.BadRequest},
		{document.UploadRequest{Key: "a/./b"}, fault.BadRequest},
		{document.UploadRequest{Key: "a\nb"}, fault.BadRequest},
		{document.UploadRequest{Key: "a\x00b"}, fault.BadRequest},
		{document.UploadRequest{Key: "a\x7fb"}, fault.BadRequest},
		{document.UploadRequest{Key: "a\xffb"}, fault.BadRequest},
		{document.UploadRequest{Key: strings.Repeat("k", 1025)}, fault.BadRequest},
		{document.UploadRequest{Key: "k", Title: strings.Repeat("t", 513)}, fault.BadRequest},
		{document.UploadRequest{Key: "k", Title: "a\tb"}, fault.BadRequest},
		{document.UploadRequest{Key: "k", Collection: "no/slash"}, fault.BadRequest},
		{document.UploadRequest{Key: "k", Collection: strings.Repeat("c", 129)}, fault.BadRequest},
		{document.UploadRequest{Key: "k", Metadata: json.RawMessage(`{"a":`)}, fault.InvalidMetadata},
		{document.UploadRequest{Key: "k", Metadata: json.RawMessage(`[]`)}, fault.InvalidMetadata},
	} {
		service, m := newService(t)
		_, err := service.Upload(tenantContext(t), test.request, strings.NewReader("text"))
		if !fault.Is(err, test.kind) {
			t.Errorf("%+v: got error %v, want %s", test.request, err, test.kind)
		}
		if len(m.objects)+len(m.notes)+len(m.uploads) != 0 {
			t.Errorf("%+v: left something behind", test.request)
		}
	}
}

func TestLongestKey(t *testing.T) {
	t.Parallel()
	service, m := newService(t)
	key := strings.Repeat("k", 1024)
	if _, err := service.Upload(tenantContext(t), document.UploadRequest{Key: key}, strings.NewReader("text")); err != nil || m.uploads[0].Key != key {
		t.Errorf("key of 1024 bytes: got error %v", err)
	}
}

func TestInterruptedUpload(t *testing.T) {
	t.Parallel()
	service, m := newService(t)
	body := io.MultiReader(strings.NewReader("half a docu"), iotest.ErrReader(io.ErrUnexpectedEOF))
	_, err := service.Upload(tenantContext(t), document.UploadRequest{Key: "k.md"}, body)
	if !fault.Is(err, fault.BadRequest) || !strings.Contains(err.Error(), "11 bytes") {
		t.Errorf("got error %v, want a bad request that says after how many bytes the upload was interrupted", err)
	}
	if len(m.objects) != 0 {
		t.Error("an incomplete document is stored")
	}
}

func TestUploadNeedsATenant(t *testing.T) {
	t.Parallel()
	service, m := newService(t)
	if _, err := service.Upload(t.Context(), document.UploadRequest{Key: "k.md"}, bytes.NewReader([]byte("text"))); err == nil || len(m.objects) != 0 {
		t.Errorf("stored an object without a tenant; error %v", err)
	}
}

// Front matter that cannot be parsed is kept as text, with a warning. A plain text has no front
// matter.
func TestUploadWarnsOfUnreadableFrontMatter(t *testing.T) {
	t.Parallel()
	const text = "\ufeff---\ntitle: Milling: a guide\n---\ntext\n"
	for key, want := range map[string]document.Warnings{
		"a.md": {{Code: "front_matter_unreadable", Start: 3, End: 35,
			Detail: "front matter is kept as text, because it cannot be parsed: line 2: mapping values are not allowed in this context"}},
		"a.txt": nil,
	} {
		service, m := newService(t)
		if _, err := service.Upload(tenantContext(t), document.UploadRequest{Key: key}, strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, m.uploads[0].Warnings); diff != "" {
			t.Errorf("%s: warnings (-want +got):\n%s", key, diff)
		}
		if string(m.uploads[0].Metadata) != "{}" || m.uploads[0].Title != "a" {
			t.Errorf("%s: got title %q and metadata %s, want title a and no metadata", key, m.uploads[0].Title, m.uploads[0].Metadata)
		}
	}
}

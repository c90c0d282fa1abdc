package verify_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/pkg/chunk"
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/pipeline/verify"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

// memory is a database and an object store of two tenants.
type memory struct {
	mu       sync.Mutex
	kept     map[string][]document.Kept // by tenant, in order
	passages map[uuid.UUID][]document.PlacedPassage
	objects  map[string]string
	noted    map[string]bool // objects of uploads under way
	progress map[string]document.Verification
	read     int // bytes of objects

	compared func(document.Kept) // called when a version's comparison is noted
	opened   func(name string)   // called before an object is opened
	openErr  error
	failing  map[string]string // objects that cannot be opened, or read
	taken    bool

	unlisted map[string]document.GarbageFound // by tenant
	searches map[string]int                   // that were listed
}

func newMemory() *memory {
	return &memory{
		kept: map[string][]document.Kept{}, passages: map[uuid.UUID][]document.PlacedPassage{}, objects: map[string]string{},
		noted: map[string]bool{}, progress: map[string]document.Verification{},
		unlisted: map[string]document.GarbageFound{}, searches: map[string]int{},
	}
}

func newVerifier(t *testing.T) (*verify.Verifier, *memory) {
	m := newMemory()
	return &verify.Verifier{Store: m, Objects: m, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}, m
}

// put adds a document whose only version is live.
func (m *memory) put(owner, key, text string) *document.Kept {
	id := uuid.Must(uuid.NewV7())
	k := document.Kept{
		Document: id, Version: 1, Collection: "default", Key: key, Live: true, Space: document.Space{ID: 1, Model: document.Model{Dimensions: 3}},
		Original: document.Original{Object: owner + "/" + id.String(), Size: int64(len(text)), SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(text)))},
	}
	for p, err := range chunk.Split(strings.NewReader(text), chunk.Options{Tokens: 32}) {
		if err != nil {
			panic(err)
		}
		place := document.Place{Ordinal: p.Ordinal, Start: p.Start, End: p.End}
		m.passages[id] = append(m.passages[id], document.PlacedPassage{Place: place, Content: p.Content, Dimensions: 3})
	}
	k.Passages = int64(len(m.passages[id]))
	m.objects[k.Original.Object] = text
	m.kept[owner] = append(m.kept[owner], k)
	return &m.kept[owner][len(m.kept[owner])-1]
}

func (m *memory) TenantsToVerify(ctx context.Context, _ time.Duration) ([]string, error) {
	return m.Tenants(ctx)
}

func (m *memory) Tenants(context.Context) ([]string, error) { return []string{"default", "other"}, nil }

func (m *memory) Kept(ctx context.Context, filter document.KeptFilter, after uuid.UUID, limit int) (page []document.Kept, err error) {
	owner, err := tenant.From(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.kept[owner] {
		if bytes.Compare(k.Document[:], after[:]) > 0 && len(page) < limit &&
			(filter.Collection == "" || filter.Collection == k.Collection) && (filter.Document == uuid.Nil || filter.Document == k.Document) {
			page = append(page, k)
		}
	}
	return page, err
}

func (m *memory) PlacedPassages(_ context.Context, of document.Kept, from, limit int) (page []document.PlacedPassage, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.passages[of.Document] {
		if p.Ordinal >= from && len(page) < limit {
			page = append(page, p)
		}
	}
	return page, nil
}

func (m *memory) Compared(ctx context.Context, of document.Kept, tag, damage string) error {
	owner, err := tenant.From(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, k := range m.kept[owner] {
		if k.Document == of.Document && k.Version == of.Version {
			m.kept[owner][i].Original.Tag, m.kept[owner][i].Damage = tag, damage
		}
	}
	if m.compared != nil {
		m.compared(of)
	}
	return err
}

func (m *memory) Unreferenced(ctx context.Context, objects []string) ([]string, error) {
	owner, err := tenant.From(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(objects), func(name string) bool {
		return m.noted[name] || slices.ContainsFunc(m.kept[owner], func(k document.Kept) bool { return k.Original.Object == name })
	}), err
}

func (m *memory) ListSearch(ctx context.Context) error {
	owner, err := tenant.From(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.searches[owner]++
	return err
}

// SearchGarbage finds what is unlisted in the second of three slices.
func (m *memory) SearchGarbage(ctx context.Context, from document.GarbageSearchCursor, _ int) (document.GarbageSearchCursor, document.GarbageFound, error) {
	owner, err := tenant.From(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	switch from.Version++; from.Version {
	case 2:
		found := m.unlisted[owner]
		delete(m.unlisted, owner)
		return from, found, err
	case 3:
		from.Stage = document.SearchEnded
	}
	return from, document.GarbageFound{}, err
}

func (m *memory) Names(context.Context, string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		m.mu.Lock()
		names := []string{}
		for name := range m.objects {
			names = append(names, name)
		}
		m.mu.Unlock()
		for _, name := range names {
			if !yield(name, nil) {
				return
			}
		}
	}
}

func (m *memory) Open(_ context.Context, name string) (io.ReadSeekCloser, error) {
	if m.opened != nil {
		m.opened(name)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	text, ok := m.objects[name]
	if m.openErr != nil {
		return nil, m.openErr
	}
	if !ok {
		return nil, fault.New(fault.NotFound, "no object %s", name)
	}
	switch m.failing[name] {
	case "opening":
		return nil, syscall.EIO
	case "reading":
		return struct {
			io.Reader
			io.Seeker
			io.Closer
		}{iotest.ErrReader(syscall.EIO), strings.NewReader(text), io.NopCloser(nil)}, nil
	}
	return &object{strings.NewReader(text), m, fmt.Sprintf("tag of %x", sha256.Sum256([]byte(text)))}, nil
}

type object struct {
	*strings.Reader
	of  *memory
	tag string
}

func (o *object) Read(p []byte) (int, error) {
	n, err := o.Reader.Read(p)
	o.of.read += n
	return n, err
}

func (*object) Close() error  { return nil }
func (o *object) Tag() string { return o.tag }

func (m *memory) Verification(ctx context.Context) (document.Verification, error) {
	owner, err := tenant.From(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.progress[owner], err
}

func (m *memory) SaveVerification(ctx context.Context, v document.Verification) error {
	owner, err := tenant.From(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.progress[owner] = v
	return err
}

func (m *memory) Exclusively(ctx context.Context, _ string, fn func(ctx context.Context) error) error {
	m.mu.Lock()
	taken := m.taken
	m.mu.Unlock()
	if taken {
		return nil
	}
	return fn(ctx)
}

// take has another process run exclusively, or end.
func (m *memory) take(taken bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.taken = taken
}

// scrubbed returns how far the default tenant's documents are scrubbed.
func (m *memory) scrubbed() document.Verification {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.progress["default"]
}

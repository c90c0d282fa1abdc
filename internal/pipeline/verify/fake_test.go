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

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/pipeline/verify"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/internal/verification"
	"github.com/seed-7a112592/gristmill/pkg/chunk"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// fakeBackend is a store and an object store of two tenants.
type fakeBackend struct {
	mu       sync.Mutex
	kept     map[string][]verification.RetainedVersion // by tenant, in order
	passages map[uuid.UUID][]verification.ManifestPassage
	objects  map[string]string
	noted    map[string]bool // objects of uploads under way
	progress map[string]verification.Progress
	read     int // bytes of objects

	compared func(verification.RetainedVersion) // called when the check of a version is recorded
	opened   func(name string)                  // called before an object is opened
	openErr  error
	failing  map[string]string // by object: "opening" or "reading", which fails
	taken    bool              // another process holds the lock

	unlisted map[string]garbage.ScanCounts // by tenant
	scans    map[string]int                // scheduled garbage scans, by tenant
}

func newFakeBackend() *fakeBackend {
	return &fakeBackend{
		kept: map[string][]verification.RetainedVersion{}, passages: map[uuid.UUID][]verification.ManifestPassage{}, objects: map[string]string{},
		noted: map[string]bool{}, progress: map[string]verification.Progress{},
		unlisted: map[string]garbage.ScanCounts{}, scans: map[string]int{},
	}
}

func newVerifier(t *testing.T) (*verify.Verifier, *fakeBackend) {
	t.Helper()
	m := newFakeBackend()
	v, err := verify.NewVerifier(verify.VerifierConfig{Store: m, Objects: m, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	return v, m
}

// addDocument adds a document whose only version is published.
func (m *fakeBackend) addDocument(owner, key, text string) *verification.RetainedVersion {
	id := uuid.Must(uuid.NewV7())
	k := verification.RetainedVersion{
		DocumentID: id, Version: 1, Collection: "default", Key: key, Published: true, Space: vector.Space{ID: 1, Model: document.Model{Dimensions: 3}},
		Original: original.Ref{Object: owner + "/" + id.String(), Size: int64(len(text)), SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(text)))},
	}
	for p, err := range chunk.Split(strings.NewReader(text), chunk.Options{Tokens: 32}) {
		if err != nil {
			panic(err)
		}
		entry := vector.ManifestEntry{Ordinal: p.Ordinal, Start: p.Start, End: p.End}
		m.passages[id] = append(m.passages[id], verification.ManifestPassage{ManifestEntry: entry, Content: p.Content, Dimensions: 3})
	}
	k.Passages = int64(len(m.passages[id]))
	m.objects[k.Original.Object] = text
	m.kept[owner] = append(m.kept[owner], k)
	return &m.kept[owner][len(m.kept[owner])-1]
}

func (m *fakeBackend) TenantsToVerify(ctx context.Context, _ time.Duration) ([]string, error) {
	return m.Tenants(ctx)
}

func (m *fakeBackend) Tenants(context.Context) ([]string, error) {
	return []string{"default", "other"}, nil
}

func (m *fakeBackend) RetainedVersions(ctx context.Context, filter verification.Filter, after uuid.UUID, limit int) (page []verification.RetainedVersion, err error) {
	owner, err := tenant.From(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range m.kept[owner] {
		if bytes.Compare(k.DocumentID[:], after[:]) > 0 && len(page) < limit &&
			(filter.Collection == "" || filter.Collection == k.Collection) && (filter.DocumentID == uuid.Nil || filter.DocumentID == k.DocumentID) {
			page = append(page, k)
		}
	}
	return page, err
}

func (m *fakeBackend) ManifestPassages(_ context.Context, of verification.RetainedVersion, from, limit int) (page []verification.ManifestPassage, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.passages[of.DocumentID] {
		if p.Ordinal >= from && len(page) < limit {
			page = append(page, p)
		}
	}
	return page, nil
}

func (m *fakeBackend) RecordVersionCheck(ctx context.Context, of verification.RetainedVersion, tag, damage string) error {
	owner, err := tenant.From(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, k := range m.kept[owner] {
		if k.DocumentID == of.DocumentID && k.Version == of.Version {
			m.kept[owner][i].Original.ETag, m.kept[owner][i].Damage = tag, damage
		}
	}
	if m.compared != nil {
		m.compared(of)
	}
	return err
}

func (m *fakeBackend) UnreferencedObjects(ctx context.Context, objects []string) ([]string, error) {
	owner, err := tenant.From(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(objects), func(name string) bool {
		return m.noted[name] || slices.ContainsFunc(m.kept[owner], func(k verification.RetainedVersion) bool { return k.Original.Object == name })
	}), err
}

func (m *fakeBackend) ScheduleGarbageScan(ctx context.Context) error {
	owner, err := tenant.From(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.scans[owner]++
	return err
}

// ScanForGarbage returns the unlisted garbage in the second of three parts.
func (m *fakeBackend) ScanForGarbage(ctx context.Context, from garbage.ScanCursor, _ int) (garbage.ScanCursor, garbage.ScanCounts, error) {
	owner, err := tenant.From(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	switch from.Version++; from.Version {
	case 2:
		found := m.unlisted[owner]
		delete(m.unlisted, owner)
		return from, found, err
	case 3:
		from.Stage = garbage.ScanEnded
	}
	return from, garbage.ScanCounts{}, err
}

func (m *fakeBackend) Names(context.Context, string) iter.Seq2[string, error] {
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

func (m *fakeBackend) Open(_ context.Context, name string) (io.ReadSeekCloser, error) {
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
	return &objectReader{strings.NewReader(text), m, fmt.Sprintf("tag of %x", sha256.Sum256([]byte(text)))}, nil
}

type objectReader struct {
	*strings.Reader
	of  *fakeBackend
	tag string
}

func (o *objectReader) Read(p []byte) (int, error) {
	n, err := o.Reader.Read(p)
	o.of.read += n
	return n, err
}

func (*objectReader) Close() error   { return nil }
func (o *objectReader) ETag() string { return o.tag }

func (m *fakeBackend) VerificationProgress(ctx context.Context) (verification.Progress, error) {
	owner, err := tenant.From(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.progress[owner], err
}

func (m *fakeBackend) SaveVerificationProgress(ctx context.Context, v verification.Progress) error {
	owner, err := tenant.From(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.progress[owner] = v
	return err
}

func (m *fakeBackend) TryWithLock(ctx context.Context, _ string, fn func(ctx context.Context) error) error {
	m.mu.Lock()
	taken := m.taken
	m.mu.Unlock()
	if taken {
		return nil
	}
	return fn(ctx)
}

// setLockTaken says whether another process holds the lock.
func (m *fakeBackend) setLockTaken(taken bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.taken = taken
}

// verification returns the progress of the default tenant.
func (m *fakeBackend) verification() verification.Progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.progress["default"]
}

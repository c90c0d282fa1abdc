// Package blobtest is the conformance suite of object stores. Every store of Gristmill's originals
// must pass it.
package blobtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/backend/blob"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/original"
)

// Store is an object store. Package blob states the contract of its methods; the tests below check
// it.
type Store interface {
	Put(ctx context.Context, name string, r io.Reader) (original.ObjectInfo, error)
	Open(ctx context.Context, name string) (io.ReadSeekCloser, error)
	Delete(ctx context.Context, name string) error
	List(ctx context.Context, prefix string) iter.Seq2[blob.Info, error]
	Names(ctx context.Context, prefix string) iter.Seq2[string, error]
	Ping(ctx context.Context) error
}

// Run runs the suite. Each call of open returns a new, empty store.
func Run(t *testing.T, open func(t *testing.T) Store) {
	for name, test := range map[string]func(*testing.T, Store){
		"Sizes":             testSizes,
		"SourcesOfAnyKind":  testSources,
		"FailingSource":     testFailingSource,
		"CancelledPut":      testCancelledPut,
		"Overwrite":         testOverwrite,
		"ConcurrentPuts":    testConcurrentPuts,
		"Delete":            testDelete,
		"List":              testList,
		"OddNames":          testOddNames,
		"HostileNames":      testHostileNames,
		"Absent":            testAbsent,
		"Seek":              testSeek,
		"ServeContent":      testServeContent,
		"CancelledRead":     testCancelledRead,
		"ReplacedWhileRead": testReplacedWhileRead,
		"ETags":             testETags,
		"Ping":              func(t *testing.T, s Store) { noError(t, s.Ping(t.Context())) },
		"CancelledList":     testCancelledList,
		"ManyPartialReads":  testPartialRead,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

const (
	kib = 1 << 10
	mib = 1 << 20
)

// randomReader returns a reader of size pseudo-random bytes, the same for the same seed.
func randomReader(seed byte, size int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{seed}), size)
}

func randomBytes(seed byte, size int64) []byte {
	b, _ := io.ReadAll(randomReader(seed, size))
	return b
}

func put(t *testing.T, s Store, name string, content []byte) {
	t.Helper()
	object, err := s.Put(t.Context(), name, bytes.NewReader(content))
	noError(t, err)
	if object.Size != int64(len(content)) || object.ETag == "" {
		t.Fatalf("Put %s = %+v, want %d bytes and an ETag", name, object, len(content))
	}
}

func get(t *testing.T, s Store, name string) []byte {
	t.Helper()
	r, err := s.Open(t.Context(), name)
	noError(t, err)
	defer r.Close()
	b, err := io.ReadAll(r)
	noError(t, err)
	return b
}

// hashOf returns the hash of the bytes in r, and their number.
func hashOf(t *testing.T, r io.Reader) (hash [sha256.Size]byte, size int64) {
	t.Helper()
	h := sha256.New()
	size, err := io.Copy(h, r)
	noError(t, err)
	return [sha256.Size]byte(h.Sum(nil)), size
}

func wantNames(t *testing.T, s Store, prefix string, want ...string) {
	t.Helper()
	var got []string
	for info, err := range s.List(t.Context(), prefix) {
		noError(t, err)
		got = append(got, info.Name)
	}
	var names []string
	for name, err := range s.Names(t.Context(), prefix) {
		noError(t, err)
		names = append(names, name)
	}
	if !slices.Equal(names, got) {
		t.Errorf("Names yields %q, but List yields %q", names, got)
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("names that begin with %q (-want +got):\n%s", prefix, diff)
	}
}

func wantKind(t *testing.T, err error, kind fault.Kind) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Fatalf("error = %v, want kind %s", err, kind)
	}
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

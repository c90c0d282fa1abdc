package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

// testSizes tests sizes around the borders of windows (1 MiB) and parts (5 MiB).
func testSizes(t *testing.T, s Store) {
	sizes := []int64{0, 1, 64*kib - 1, 64 * kib, mib - 1, mib, mib + 1, 5*mib - 1, 5 * mib, 5*mib + 1, 10 * mib, 10*mib + 1, 13 * mib}
	for i, size := range sizes {
		seed, name := byte(i), fmt.Sprintf("default/%d", size)
		object, err := s.Put(t.Context(), name, randomReader(seed, size))
		noError(t, err)
		if object.Size != size {
			t.Errorf("Put of %d bytes = %+v", size, object)
		}
		r, err := s.Open(t.Context(), name)
		noError(t, err)
		got, n := hashOf(t, r)
		noError(t, r.Close())
		if want, _ := hashOf(t, randomReader(seed, size)); n != size || got != want {
			t.Errorf("object of %d bytes was read back as %d bytes, equal: %t", size, n, got == want)
		}
		for info, err := range s.List(t.Context(), name) {
			noError(t, err)
			if info.Name == name && (info.Size != size || info.ModTime.IsZero()) {
				t.Errorf("listed as %+v, want size %d and a time", info, size)
			}
		}
	}
}

func testSources(t *testing.T, s Store) {
	want := randomBytes(1, 100*kib)
	for name, source := range map[string]io.Reader{
		"default/byte-by-byte":      iotest.OneByteReader(bytes.NewReader(want)),
		"default/halves":            iotest.HalfReader(bytes.NewReader(want)),
		"default/end-with-the-data": iotest.DataErrReader(bytes.NewReader(want)),
	} {
		if _, err := s.Put(t.Context(), name, source); err != nil {
			t.Fatal(err)
		}
		if got := get(t, s, name); !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes differ from the %d that were put", name, len(got), len(want))
		}
	}
}

func testFailingSource(t *testing.T, s Store) {
	boom := errors.New("boom")
	put(t, s, "default/old", []byte("old"))
	for _, size := range []int64{0, 1, mib, 8 * mib, 12 * mib, 17 * mib} {
		for _, name := range []string{"default/new", "default/old"} {
			source := io.MultiReader(randomReader(1, size), iotest.ErrReader(boom))
			if _, err := s.Put(t.Context(), name, source); !errors.Is(err, boom) {
				t.Errorf("Put of a source that fails after %d bytes: %v, want the error of the source", size, err)
			}
		}
	}
	wantNames(t, s, "", "default/old")
	if got := get(t, s, "default/old"); string(got) != "old" {
		t.Errorf("a failed Put changed the existing object to %d bytes", len(got))
	}

	// The source fails like the body of a request that is larger than allowed.
	source := http.MaxBytesReader(httptest.NewRecorder(), io.NopCloser(randomReader(1, 10*mib)), 9*mib)
	_, err := s.Put(t.Context(), "default/large", source)
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); !ok || tooLarge.Limit != 9*mib {
		t.Errorf("Put of a source over its limit: %v, want its *http.MaxBytesError", err)
	}
}

// cancelAfter cancels a context after it has read a number of bytes, and continues to read.
type cancelAfter struct {
	io.Reader
	bytes  int64
	cancel context.CancelFunc
}

func (r *cancelAfter) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if r.bytes -= int64(n); r.bytes <= 0 {
		r.cancel()
	}
	return n, err
}

func testCancelledPut(t *testing.T, s Store) {
	for _, after := range []int64{0, 1, mib, 8*mib + 1, 17 * mib} {
		ctx, cancel := context.WithCancel(t.Context())
		if after == 0 {
			cancel()
		}
		source := &cancelAfter{randomReader(1, 40*mib), after, cancel}
		if _, err := s.Put(ctx, "default/cancelled", source); !errors.Is(err, context.Canceled) {
			t.Errorf("Put cancelled after %d bytes: %v, want context.Canceled", after, err)
		}
	}
	wantNames(t, s, "")
}

func testOverwrite(t *testing.T, s Store) {
	for _, size := range []int64{10, 9 * mib, 0, 3} {
		want := randomBytes(byte(size), size)
		put(t, s, "default/same", want)
		if got := get(t, s, "default/same"); !bytes.Equal(got, want) {
			t.Errorf("read %d bytes that differ from the %d put last", len(got), len(want))
		}
	}
	wantNames(t, s, "", "default/same")
}

func testConcurrentPuts(t *testing.T, s Store) {
	const puts, size = 8, 9 * mib
	var group sync.WaitGroup
	for i := range puts {
		for _, name := range []string{"default/same", fmt.Sprintf("default/%d", i)} {
			group.Go(func() {
				if object, err := s.Put(t.Context(), name, randomReader(byte(i), size)); err != nil || object.Size != size {
					t.Errorf("Put = %+v, %v", object, err)
				}
			})
		}
	}
	group.Wait()
	sums := map[[32]byte]bool{}
	for i := range puts {
		want, _ := hashOf(t, randomReader(byte(i), size))
		if got, _ := hashOf(t, bytes.NewReader(get(t, s, fmt.Sprintf("default/%d", i)))); got != want {
			t.Errorf("object %d differs from the content that was put", i)
		}
		sums[want] = true
	}
	if got, n := hashOf(t, bytes.NewReader(get(t, s, "default/same"))); !sums[got] {
		t.Errorf("concurrent puts under one name left a mixture of %d bytes", n)
	}
}

func testDelete(t *testing.T, s Store) {
	put(t, s, "default/a", []byte("a"))
	put(t, s, "default/b", []byte("b"))
	for range 2 {
		noError(t, s.Delete(t.Context(), "default/a"))
	}
	noError(t, s.Delete(t.Context(), "nobody/nothing"))
	wantNames(t, s, "", "default/b")
	_, err := s.Open(t.Context(), "default/a")
	wantKind(t, err, fault.NotFound)
}

// oddNames are valid names that have caused errors in some store or client.
var oddNames = []string{
	"default/with space", "default/ leading", "default/100%", "default/a%2Fb", "default/a+b", "default/q?x=1&y=2", "default/#fragment",
	"default/it's \"quoted\"", "default/semi;colon:comma,", "default/.hidden", "default/..dots..", "default/-dash", "default/~", "default/*",
	"default/한국어", "default/中文", "default/e\u0301", "default/\u00e9", "default/🌾", "default/<&>", "default/" + strings.Repeat("x", 200),
	"objects/partial", "partial/objects", "0-tenant/019a0000-0000-7000-8000-000000000000",
}

func testOddNames(t *testing.T, s Store) {
	for _, name := range oddNames {
		put(t, s, name, []byte(name))
	}
	wantNames(t, s, "", oddNames...)
	for _, name := range oddNames {
		if got := get(t, s, name); string(got) != name {
			t.Errorf("object %q holds %q", name, got)
		}
		noError(t, s.Delete(t.Context(), name))
	}
	wantNames(t, s, "")
}

func testHostileNames(t *testing.T, s Store) {
	for _, name := range []string{
		"", "/", "default", "default/", "/etc", "/etc/passwd", "..", "../x", "default/..", "default/.", "./x", "../../etc/passwd", "default/../x",
		"default//x", "default/a/b", "default/a\\b", "..\\x/y", "default/nul\x00", "default/line\nbreak", "default/\x7f", "default/\xff", "default/\u202egnp",
		"default/" + strings.Repeat("x", 201), strings.Repeat("x", 201) + "/x",
	} {
		_, err := s.Put(t.Context(), name, strings.NewReader("hostile"))
		wantKind(t, err, fault.BadRequest)
		_, err = s.Open(t.Context(), name)
		wantKind(t, err, fault.BadRequest)
		wantKind(t, s.Delete(t.Context(), name), fault.BadRequest)
	}
	wantNames(t, s, "")
}

// testETags checks that readers return the ETag that Put returned, and that other bytes have
// another ETag, also when their number is the same.
func testETags(t *testing.T, s Store) {
	seen := map[string]bool{}
	for _, size := range []int64{10, 9 * mib} { // in one request, and in several parts
		for seed := range byte(3) {
			object, err := s.Put(t.Context(), "default/tagged", randomReader(seed, size))
			noError(t, err)
			for range 2 {
				r, err := s.Open(t.Context(), "default/tagged")
				noError(t, err)
				tagged, ok := r.(interface{ ETag() string })
				if !ok || tagged.ETag() != object.ETag {
					t.Fatalf("the reader's ETag is not %q, which Put returned", object.ETag)
				}
				_, err = io.ReadFull(r, make([]byte, 5))
				noError(t, err)
				noError(t, r.Close())
			}
			if object.ETag == "" || seen[object.ETag] {
				t.Errorf("%d bytes of seed %d have the ETag %q of other bytes", size, seed, object.ETag)
			}
			seen[object.ETag] = true
		}
	}
}

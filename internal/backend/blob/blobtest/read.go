package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

func testList(t *testing.T, s Store) {
	names := []string{"a/1", "a/2", "a/22", "ab/1", "b/1"}
	for _, name := range names {
		put(t, s, name, []byte(name))
	}
	wantNames(t, s, "", names...)
	wantNames(t, s, "a", "a/1", "a/2", "a/22", "ab/1")
	wantNames(t, s, "a/", "a/1", "a/2", "a/22")
	wantNames(t, s, "a/2", "a/2", "a/22")
	wantNames(t, s, "c")
	count := 0
	for _, err := range s.List(t.Context(), "") {
		noError(t, err)
		if count++; count == 2 {
			break
		}
	}
	if count != 2 {
		t.Errorf("a list that was stopped after 2 names yielded %d", count)
	}
}

func testAbsent(t *testing.T, s Store) {
	put(t, s, "default/there", []byte("x"))
	for _, name := range []string{"default/absent", "default/ther", "default/there2", "nobody/there"} {
		_, err := s.Open(t.Context(), name)
		wantKind(t, err, fault.NotFound)
	}
}

func testSeek(t *testing.T, s Store) {
	small := randomBytes(1, 3000)
	put(t, s, "default/small", small)
	r, err := s.Open(t.Context(), "default/small")
	noError(t, err)
	noError(t, iotest.TestReader(r, small))
	noError(t, r.Close())

	// Random seeks and reads of a large object give the same results as on the same bytes in
	// memory.
	large := randomBytes(2, 5*mib+17)
	put(t, s, "default/large", large)
	got, err := s.Open(t.Context(), "default/large")
	noError(t, err)
	defer got.Close()
	want := bytes.NewReader(large)
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		offset, whence := random.Int64N(12*mib)-6*mib, random.IntN(3)
		wantAt, wantErr := want.Seek(offset, whence)
		gotAt, gotErr := got.Seek(offset, whence)
		if gotAt != wantAt || (gotErr == nil) != (wantErr == nil) {
			t.Fatalf("seed %d: Seek(%d, %d) = %d, %v, want %d, %v", seed, offset, whence, gotAt, gotErr, wantAt, wantErr)
		}
		a, b := make([]byte, random.IntN(100*kib)), make([]byte, 100*kib)
		n, gotErr := io.ReadFull(got, a)
		m, wantErr := io.ReadFull(want, b[:len(a)])
		if n != m || gotErr != wantErr || !bytes.Equal(a[:n], b[:m]) {
			t.Fatalf("seed %d: read of %d at %d = %d, %v, want %d, %v, and the same bytes", seed, len(a), gotAt, n, gotErr, m, wantErr)
		}
	}
}

func testServeContent(t *testing.T, s Store) {
	body := randomBytes(3, 2*mib+5)
	put(t, s, "default/served", body)
	put(t, s, "default/empty", nil)
	serve := func(r *http.Request, content io.ReadSeeker) *http.Response {
		answer := httptest.NewRecorder()
		answer.Header().Set("Content-Type", "text/markdown")
		answer.Header().Set("ETag", `"1"`)
		http.ServeContent(answer, r, "", time.Time{}, content)
		return answer.Result()
	}
	for _, test := range []struct {
		object, method, header, value string
		want                          []byte
	}{
		{"default/served", "GET", "Range", "", body},
		{"default/empty", "GET", "Range", "", nil},
		{"default/empty", "GET", "Range", "bytes=0-1", nil},
		{"default/served", "HEAD", "Range", "", body},
		{"default/served", "GET", "Range", "bytes=0-0", body},
		{"default/served", "GET", "Range", "bytes=100-199", body},
		{"default/served", "GET", "Range", fmt.Sprintf("bytes=%d-%d", mib-1, mib), body},
		{"default/served", "GET", "Range", "bytes=-7", body},
		{"default/served", "GET", "Range", "bytes=2097150-", body},
		{"default/served", "GET", "Range", "bytes=9999999-", body},
		{"default/served", "GET", "If-None-Match", `"1"`, body},
	} {
		r := httptest.NewRequestWithContext(t.Context(), test.method, "/", nil)
		r.Header.Set(test.header, test.value)
		content, err := s.Open(t.Context(), test.object)
		noError(t, err)
		got, want := serve(r, content), serve(r, bytes.NewReader(test.want))
		noError(t, content.Close())
		if got.StatusCode != want.StatusCode {
			t.Errorf("%+v: status %d, want %d", test.value, got.StatusCode, want.StatusCode)
		}
		if diff := cmp.Diff(want.Header, got.Header); diff != "" {
			t.Errorf("%s: headers (-want +got):\n%s", test.value, diff)
		}
		gotBody, _ := io.ReadAll(got.Body)
		if wantBody, _ := io.ReadAll(want.Body); !bytes.Equal(gotBody, wantBody) {
			t.Errorf("%s: %d bytes differ from the wanted %d", test.value, len(gotBody), len(wantBody))
		}
	}
}

func testPartialRead(t *testing.T, s Store) {
	put(t, s, "default/large", randomBytes(4, 3*mib))
	for range 50 {
		r, err := s.Open(t.Context(), "default/large")
		noError(t, err)
		_, err = io.ReadFull(r, make([]byte, 10))
		noError(t, err)
		noError(t, r.Close())
	}
}

func testCancelledRead(t *testing.T, s Store) {
	put(t, s, "default/large", randomBytes(4, 3*mib))
	ctx, cancel := context.WithCancel(t.Context())
	r, err := s.Open(ctx, "default/large")
	noError(t, err)
	defer r.Close()
	_, err = io.ReadFull(r, make([]byte, 10))
	noError(t, err)
	cancel()
	if n, err := io.Copy(io.Discard, r); !errors.Is(err, context.Canceled) {
		t.Errorf("read after Open's context has ended: %d bytes, %v, want context.Canceled", n, err)
	}
}

func testCancelledList(t *testing.T, s Store) {
	put(t, s, "default/a", []byte("a"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range s.List(ctx, "") {
		if errors.Is(err, context.Canceled) {
			return
		}
	}
	t.Error("a list whose context has ended reports no error")
}

// testReplacedWhileRead allows a read to fail, but not to mix two versions of the object.
func testReplacedWhileRead(t *testing.T, s Store) {
	const size = 3 * mib
	before := randomBytes(5, size)
	for name, change := range map[string]func(name string) error{
		"default/replaced": func(name string) error {
			_, err := s.Put(t.Context(), name, randomReader(6, size))
			return err
		},
		"default/deleted": func(name string) error { return s.Delete(t.Context(), name) },
	} {
		put(t, s, name, before)
		r, err := s.Open(t.Context(), name)
		noError(t, err)
		defer r.Close()
		first := make([]byte, 1000)
		_, err = io.ReadFull(r, first)
		noError(t, err)
		noError(t, change(name))
		rest, err := io.ReadAll(r)
		if !bytes.HasPrefix(before, append(first, rest...)) {
			t.Fatalf("%s: the reader returned bytes of another version", name)
		}
		complete := len(first)+len(rest) == size
		if complete == (err != nil) || err != nil && !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: read %d bytes, %v; want all, or fault.Conflict or fault.NotFound", name, len(first)+len(rest), err)
		}
	}
}

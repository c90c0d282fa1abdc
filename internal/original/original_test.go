package original_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/original"
)

const text = "# Mill\n\nWheat is ground between two stones.\n"

// uploaded is what the database row says of text.
var uploaded = original.Ref{Object: "default/mill", Size: int64(len(text)), SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(text)))}

// storage holds one object, or none.
type storage struct {
	object *string
	read   func(io.Reader) io.Reader // wraps the reader of the object; may be nil
}

type object struct {
	io.Reader
	io.Seeker
}

func (object) Close() error { return nil }

func (s storage) Open(context.Context, string) (io.ReadSeekCloser, error) {
	if s.object == nil {
		return nil, fault.New(fault.NotFound, "no such object")
	}
	r := strings.NewReader(*s.object)
	if s.read != nil {
		return object{s.read(r), r}, nil
	}
	return object{r, r}, nil
}

func storageWith(content string) storage { return storage{object: &content} }

// Whatever object storage returns instead of the original, a reader never returns all its bytes
// without an error.
func TestDamagedObjects(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		storage storage
		kind    fault.Kind
		says    []string
	}{
		"missing":          {storage{}, fault.NotFound, []string{"default/mill", "44 bytes", "is missing"}},
		"empty":            {storageWith(""), fault.Damaged, []string{"default/mill", "has 0 bytes", "44 were uploaded"}},
		"truncated":        {storageWith(text[:20]), fault.Damaged, []string{"has 20 bytes"}},
		"one byte less":    {storageWith(text[:len(text)-1]), fault.Damaged, []string{"has 43 bytes"}},
		"longer":           {storageWith(text + "more"), fault.Damaged, []string{"has 48 bytes"}},
		"first byte":       {storageWith("X" + text[1:]), fault.Damaged, []string{"SHA-256", uploaded.SHA256}},
		"last byte":        {storageWith(text[:len(text)-1] + "X"), fault.Damaged, []string{"SHA-256", uploaded.SHA256}},
		"another":          {storageWith(strings.Repeat("x", len(text))), fault.Damaged, []string{"SHA-256"}},
		"ends early":       {storage{ptr(text), func(r io.Reader) io.Reader { return io.LimitReader(r, 30) }}, fault.Damaged, []string{"ends after 30 bytes"}},
		"replaced":         {storage{ptr(text), failingReader(fault.Conflict)}, fault.InterruptedResponse, []string{"was replaced while it was read"}},
		"deleted in read":  {storage{ptr(text), failingReader(fault.NotFound)}, fault.NotFound, []string{"is missing"}},
		"storage is down":  {storage{ptr(text), failingReader(fault.Unavailable)}, fault.Unavailable, nil},
		"intact":           {storageWith(text), "", nil},
		"byte by byte":     {storage{ptr(text), iotest.OneByteReader}, "", nil},
		"end with data":    {storage{ptr(text), iotest.DataErrReader}, "", nil},
		"damage, by bytes": {storage{ptr("X" + text[1:]), iotest.OneByteReader}, fault.Damaged, []string{"SHA-256"}},
		"damage at an end": {storage{ptr("X" + text[1:]), iotest.DataErrReader}, fault.Damaged, []string{"SHA-256"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var content []byte
			r, err := original.Open(t.Context(), test.storage, uploaded)
			if err == nil {
				defer r.Close()
				content, err = io.ReadAll(r)
			}
			if test.kind == "" {
				if err != nil || string(content) != text {
					t.Errorf("read %q, %v", content, err)
				}
				return
			}
			if len(content) >= len(text) {
				t.Errorf("all %d bytes were read before the error", len(content))
			}
			f := fault.As(err)
			if f == nil || f.Kind != test.kind {
				t.Fatalf("error %v, want one of kind %s", err, test.kind)
			}
			if test.kind == fault.Damaged || test.kind == fault.NotFound {
				test.says = append(test.says, "default/mill", "upload the document again", "gristmill verify")
			}
			for _, says := range test.says {
				if !strings.Contains(f.Detail, says) {
					t.Errorf("the detail %q does not say %q", f.Detail, says)
				}
			}
		})
	}
}

func ptr(s string) *string { return &s }

// failingReader returns a reader that fails with the given kind after ten bytes.
func failingReader(kind fault.Kind) func(io.Reader) io.Reader {
	return func(r io.Reader) io.Reader {
		return io.MultiReader(io.LimitReader(r, 10), iotest.ErrReader(fault.New(kind, "broke off")))
	}
}

// A second read is compared like the first, also when the first was broken off.
func TestRepeatedReads(t *testing.T) {
	t.Parallel()
	r, err := original.Open(t.Context(), storageWith("X"+text[1:]), uploaded)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := io.CopyN(io.Discard, r, 10); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, r); n >= int64(len(text)) || !fault.Is(err, fault.Damaged) {
			t.Fatalf("read %d bytes, %v", n, err)
		}
		if _, err := r.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
	}
}

// A reader can start at any byte. A partial read is not compared.
func TestPartialReads(t *testing.T) {
	t.Parallel()
	r, err := original.Open(t.Context(), storageWith(text), uploaded)
	if err != nil {
		t.Fatal(err)
	}
	if err := iotest.TestReader(r, []byte(text)); err != nil {
		t.Error(err)
	}
	for start := range len(text) {
		if _, err := r.Seek(int64(start), io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, []byte(text[start:])) {
			t.Fatalf("from byte %d: %q, %v", start, got, err)
		}
	}
}

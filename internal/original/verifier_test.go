package original_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/original"
)

// etagStorage holds one object with an ETag, and counts the bytes that are read from it.
type etagStorage struct {
	content, etag string
	read          int
}

func (s *etagStorage) Open(context.Context, string) (io.ReadSeekCloser, error) {
	r := strings.NewReader(s.content)
	return &etagObject{object{r, r}, s}, nil
}

type etagObject struct {
	object
	storage *etagStorage
}

func (o *etagObject) ETag() string { return o.storage.etag }

func (o *etagObject) Read(p []byte) (int, error) {
	n, err := o.object.Read(p)
	o.storage.read += n
	return n, err
}

func wantOpen(t *testing.T, c *original.Verifier, ref original.Ref) {
	t.Helper()
	r, err := c.Open(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != text {
		t.Errorf("read %q, %v", got, err)
	}
}

// An object with a known ETag is not read for the comparison. A compared object is remembered, for
// its ETag and its original only.
func TestVerifierReadsUnknownObjects(t *testing.T) {
	t.Parallel()
	ref := uploaded
	ref.ETag = "as uploaded"
	s := &etagStorage{content: text, etag: "as uploaded"}
	c := newVerifier(t, s)
	check := func(when string, want int) {
		t.Helper()
		s.read = 0
		wantOpen(t, c, ref)
		if s.read != want {
			t.Errorf("%s: %d bytes were read, want %d", when, s.read, want)
		}
	}
	check("with the ETag of its row", len(text))
	s.etag = "restored from a backup"
	check("with another ETag", 2*len(text))
	check("again", len(text))
	s.etag = "replaced"
	s.content = strings.ToUpper(text)
	if _, err := c.Open(t.Context(), ref); !fault.Is(err, fault.Damaged) {
		t.Errorf("other bytes: %v", err)
	}
	s.content, s.etag = text, ""
	check("without an ETag", 2*len(text))
	check("without an ETag, again", 2*len(text))
}

func newVerifier(t *testing.T, objects original.ObjectOpener) *original.Verifier {
	t.Helper()
	v, err := original.NewVerifier(original.VerifierConfig{Objects: objects})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// A Verifier remembers a bounded number of originals.
func TestVerifierIsBounded(t *testing.T) {
	t.Parallel()
	s := &etagStorage{content: text, etag: "another"}
	c := newVerifier(t, s)
	for i := range 10_001 {
		ref := uploaded
		ref.Object = fmt.Sprint(i)
		wantOpen(t, c, ref)
	}
	s.read = 0
	ref := uploaded
	ref.Object = "0"
	if wantOpen(t, c, ref); s.read != 2*len(text) {
		t.Errorf("the first of 10,001 is still remembered")
	}
}

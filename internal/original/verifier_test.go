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

// etagStorage holds one object with a tag, and counts the bytes that are read of it.
type etagStorage struct {
	content, tag string
	read         int
}

func (s *etagStorage) Open(context.Context, string) (io.ReadSeekCloser, error) {
	r := strings.NewReader(s.content)
	return &etagObject{object{r, r}, s}, nil
}

type etagObject struct {
	object
	of *etagStorage
}

func (o *etagObject) ETag() string { return o.of.tag }

func (o *etagObject) Read(p []byte) (int, error) {
	n, err := o.object.Read(p)
	o.of.read += n
	return n, err
}

func wantOpen(t *testing.T, c *original.Verifier, of original.Ref) {
	t.Helper()
	r, err := c.Open(t.Context(), of)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != text {
		t.Errorf("read %q, %v", got, err)
	}
}

// What is known of an object is not read for it, and what becomes known is
// remembered, for these bytes only.
func TestCheckerReadsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	of := uploaded
	of.ETag = "as uploaded"
	s := &etagStorage{content: text, tag: "as uploaded"}
	c := &original.Verifier{Objects: s}
	check := func(when string, want int) {
		t.Helper()
		s.read = 0
		wantOpen(t, c, of)
		if s.read != want {
			t.Errorf("%s: %d bytes were read, want %d", when, s.read, want)
		}
	}
	check("with the tag of its row", len(text))
	s.tag = "restored from a backup"
	check("with another tag", 2*len(text))
	check("again", len(text))
	s.tag = "replaced"
	s.content = strings.ToUpper(text)
	if _, err := c.Open(t.Context(), of); !fault.Is(err, fault.Damaged) {
		t.Errorf("other bytes: %v", err)
	}
	s.content, s.tag = text, ""
	check("without a tag", 2*len(text))
	check("without a tag, again", 2*len(text))
}

// However many originals are checked, little is remembered of them.
func TestCheckerIsBounded(t *testing.T) {
	t.Parallel()
	s := &etagStorage{content: text, tag: "another"}
	c := &original.Verifier{Objects: s}
	for i := range 10_001 {
		of := uploaded
		of.Object = fmt.Sprint(i)
		wantOpen(t, c, of)
	}
	s.read = 0
	of := uploaded
	of.Object = "0"
	if wantOpen(t, c, of); s.read != 2*len(text) {
		t.Errorf("the first of 10,001 is still remembered")
	}
}

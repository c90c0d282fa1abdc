package ingest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// sniffBytes is what http.DetectContentType looks at.
const sniffBytes = 512

// content is an upload on its way to object storage. It hashes, measures and
// checks what passes through, and fails the read, and with it the upload, at
// the first byte that cannot be accepted. Memory does not depend on its size.
type content struct {
	source io.Reader
	limit  int64

	size    int64
	hash    hash.Hash
	head    []byte // the first markdown.HeadSize bytes, for front matter and title
	partial []byte // an unfinished rune at the end of what has passed
	hasText bool
}

// inspect looks at the first bytes of body and returns its checked content, or
// fault.UnsupportedMediaType when they are those of an image, a PDF or another
// binary format.
func inspect(body io.Reader, limit int64) (*content, error) {
	buffered := bufio.NewReaderSize(body, 32<<10)
	// A read error here comes again, from the same place, when content is read.
	first, _ := buffered.Peek(sniffBytes)
	if kind, binary := sniff(first); binary {
		return nil, fault.New(fault.UnsupportedMediaType,
			"the content is %s, not text; upload markdown or plain text", kind)
	}
	return &content{source: buffered, limit: limit, hash: sha256.New()}, nil
}

// sniff reports whether first begins a binary format, and which. A signature
// alone does not convict: text may begin with "BM" or "ID3", so a format other
// than PDF must also hold bytes that text does not.
func sniff(first []byte) (kind string, binary bool) {
	kind, _, _ = strings.Cut(http.DetectContentType(first), ";")
	switch {
	case kind == "application/pdf":
		return kind, true
	case strings.HasPrefix(kind, "text/"), kind == "application/octet-stream":
		return kind, false
	}
	return kind, bytes.IndexByte(first, 0) >= 0 || !validPrefix(first)
}

// validPrefix reports whether b is UTF-8, but for a rune cut off at its end.
func validPrefix(b []byte) bool {
	for i := 0; i < utf8.UTFMax && len(b) > 0 && !utf8.Valid(b); i++ {
		b = b[:len(b)-1]
	}
	return utf8.Valid(b)
}

// Read implements io.Reader. At the end of the source it returns io.EOF only
// if the whole can be accepted.
func (c *content) Read(p []byte) (int, error) {
	n, err := c.source.Read(p)
	if n > 0 {
		if bad := c.take(p[:n]); bad != nil {
			return 0, bad
		}
	}
	switch {
	case err == io.EOF:
		if bad := c.finish(); bad != nil {
			return 0, bad
		}
		return n, io.EOF
	case err != nil && fault.As(err) == nil && !errors.Is(err, context.Canceled):
		return 0, fault.Wrap(fault.BadRequest, err, "the upload was cut off after %d bytes; send it again", c.size)
	case err != nil:
		return 0, fmt.Errorf("read the upload: %w", err)
	}
	return n, nil
}

// take checks and counts the next bytes.
func (c *content) take(p []byte) error {
	if c.size+int64(len(p)) > c.limit {
		return fault.New(fault.TooLarge, "the document is larger than %d bytes, which is the most that is taken", c.limit)
	}
	if i := bytes.IndexByte(p, 0); i >= 0 {
		if err := c.checkEncoding(p[:i]); err != nil {
			return err
		}
		return invalidEncoding(c.size+int64(i), "a NUL byte")
	}
	if err := c.checkEncoding(p); err != nil {
		return err
	}
	if room := markdown.HeadSize - len(c.head); room > 0 {
		c.head = append(c.head, p[:min(room, len(p))]...)
	}
	c.hash.Write(p)
	c.size += int64(len(p))
	return nil
}

// checkEncoding checks that p goes on as UTF-8 after what has passed, which
// may have ended within a rune.
func (c *content) checkEncoding(p []byte) error {
	at := c.size
	for len(c.partial) > 0 && len(p) > 0 {
		c.partial = append(c.partial, p[0])
		p, at = p[1:], at+1
		if !utf8.FullRune(c.partial) {
			continue
		}
		r, width := utf8.DecodeRune(c.partial)
		if r == utf8.RuneError && width == 1 {
			return invalidEncoding(at-int64(len(c.partial)), fmt.Sprintf("byte 0x%02x", c.partial[0]))
		}
		c.hasText = c.hasText || isText(r)
		c.partial = c.partial[:0]
	}
	for i := 0; i < len(p); {
		if p[i] < utf8.RuneSelf {
			c.hasText = c.hasText || isText(rune(p[i]))
			i++
			continue
		}
		r, width := utf8.DecodeRune(p[i:])
		if r == utf8.RuneError && width == 1 {
			if !utf8.FullRune(p[i:]) {
				c.partial = append(c.partial, p[i:]...)
				return nil
			}
			return invalidEncoding(at+int64(i), fmt.Sprintf("byte 0x%02x", p[i]))
		}
		c.hasText = c.hasText || isText(r)
		i += width
	}
	return nil
}

// finish checks what only the end can tell.
func (c *content) finish() error {
	if len(c.partial) > 0 {
		return invalidEncoding(c.size-int64(len(c.partial)), "a character that is cut off")
	}
	if !c.hasText {
		return fault.New(fault.EmptyDocument, "the document is empty or only white space")
	}
	return nil
}

// sum returns the hash of all that was read, in lower-case hex.
func (c *content) sum() string { return hex.EncodeToString(c.hash.Sum(nil)) }

// isText reports whether r makes a document more than empty.
func isText(r rune) bool {
	const byteOrderMark = '\ufeff'
	return !unicode.IsSpace(r) && r != byteOrderMark
}

func invalidEncoding(offset int64, what string) error {
	return fault.New(fault.InvalidEncoding,
		"the document is not UTF-8 text: %s at offset %d; convert it to UTF-8", what, offset).At(offset)
}

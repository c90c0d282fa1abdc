package ingest

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// checkedReader reads an upload on its way to object storage. It hashes, measures and checks the
// bytes. A read fails at the first byte that cannot be accepted, and the upload fails with it. Its
// memory does not depend on the size of the upload.
type checkedReader struct {
	source io.Reader
	limit  int64

	size    int64
	hash    hash.Hash
	head    []byte // the first markdown.HeadSize bytes, for front matter and title
	utf8    utf8Checker
	escapes escapeFinder
}

// newCheckedReader reads the first bytes of body and returns a reader of all of it. It returns
// fault.UnsupportedMediaType if the document has a format that is not text.
func newCheckedReader(body io.Reader, limit int64, declared string) (*checkedReader, error) {
	buffered := bufio.NewReaderSize(body, 4<<10)
	// If this read fails, the next read from the same position returns the error.
	first, _ := buffered.Peek(sniffBytes)
	if err := checkFormat(first, declared); err != nil {
		return nil, err
	}
	return &checkedReader{source: buffered, limit: limit, hash: sha256.New()}, nil
}

// Read implements io.Reader. At the end of the source it returns io.EOF only if the whole document
// can be accepted.
func (c *checkedReader) Read(p []byte) (int, error) {
	n, err := c.source.Read(p)
	if n > 0 {
		if bad := c.checkNext(p[:n]); bad != nil {
			return 0, bad
		}
	}
	switch {
	case err == io.EOF:
		if bad := c.checkEnd(); bad != nil {
			return 0, bad
		}
		return n, io.EOF
	case err != nil && fault.As(err) == nil && !errors.Is(err, context.Canceled):
		return 0, fault.Wrap(fault.BadRequest, err, "the upload was interrupted after %d bytes; send it again", c.size)
	case err != nil:
		return 0, fmt.Errorf("read the upload: %w", err)
	}
	return n, nil
}

// checkNext checks and counts the next bytes.
func (c *checkedReader) checkNext(p []byte) error {
	if c.size+int64(len(p)) > c.limit {
		return fault.New(fault.TooLarge, "the document is larger than the limit of %d bytes", c.limit)
	}
	// The head gets these bytes even if they are refused: detectWideEncoding needs them.
	if room := markdown.HeadSize - len(c.head); room > 0 {
		c.head = append(c.head, p[:min(room, len(p))]...)
	}
	if at, wrong := c.utf8.check(p, c.size); wrong != "" {
		encoding := ""
		if at < int64(len(c.head)) {
			encoding = detectWideEncoding(c.head)
		}
		return invalidEncodingError(at, wrong, encoding)
	}
	if err := c.escapes.find(p, c.size); err != nil {
		return err
	}
	c.hash.Write(p)
	c.size += int64(len(p))
	return nil
}

// checkEnd checks what only the end of the document shows.
func (c *checkedReader) checkEnd() error {
	if cut := len(c.utf8.partial); cut > 0 {
		return invalidEncodingError(c.size-int64(cut), "an incomplete character", "")
	}
	if !c.utf8.hasText {
		return fault.New(fault.EmptyDocument, "the document is empty, or has only white space and invisible characters")
	}
	return checkSevenBitEncoding(c.head)
}

// sha256Hex returns the hash of all bytes read so far, in lower-case hex.
func (c *checkedReader) sha256Hex() string { return hex.EncodeToString(c.hash.Sum(nil)) }

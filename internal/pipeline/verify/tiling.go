package verify

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// TilingChecker compares passages, one after another, with their source. Each passage must be a
// range of the source, word for word; passages must be in order; and together they must cover all
// of the source except white space and front matter. It reads the source once, and holds about one
// passage in memory.
type TilingChecker struct {
	source *bufio.Reader

	ordinal       int    // of the next passage
	covered       int64  // end of the previous passage
	previousStart int64  // start of the previous passage
	previous      string // content of the previous passage
}

// NewTilingChecker returns a checker for a source, which it reads from the beginning.
func NewTilingChecker(source io.Reader) *TilingChecker {
	return &TilingChecker{source: bufio.NewReaderSize(source, markdown.HeadSize)}
}

// CheckPassage checks the next passage. wrong says what is wrong with it or before it; err is an
// error of reading the source.
func (t *TilingChecker) CheckPassage(ordinal int, start, end int64, content string) (wrong, err error) {
	switch {
	case ordinal != t.ordinal:
		return fmt.Errorf("passage %d is missing", t.ordinal), nil
	case end-start != int64(len(content)) || end <= t.covered || start < t.previousStart:
		return fmt.Errorf("passage %d of %d bytes cannot be bytes %d to %d, after a passage that is bytes %d to %d",
			ordinal, len(content), start, end, t.previousStart, t.covered), nil
	}
	if t.ordinal == 0 {
		if err := t.skipFrontMatter(start); err != nil {
			return nil, err
		}
	}
	again := "" // what the passage repeats of the previous one
	if start < t.covered {
		again = t.previous[start-t.previousStart:]
	} else if wrong, err := t.checkGap(start - t.covered); wrong != nil || err != nil {
		return wrong, err
	}
	rest, repeats := strings.CutPrefix(content, again)
	if repeats {
		if err := t.expect(rest); errors.Is(err, errMismatch) {
			repeats = false
		} else if err != nil {
			return nil, err
		}
	}
	if !repeats {
		return fmt.Errorf("passage %d differs from the text at byte %d of the original", ordinal, start), nil
	}
	t.ordinal, t.previousStart, t.covered, t.previous = ordinal+1, start, end, content
	return nil, nil
}

// CheckEnd checks what follows the last passage.
func (t *TilingChecker) CheckEnd() (wrong, err error) {
	if t.ordinal == 0 {
		if err := t.skipFrontMatter(markdown.HeadSize); err != nil {
			return nil, err
		}
	}
	return t.checkGap(-1)
}

// Drain reads the source to its end.
func (t *TilingChecker) Drain() error {
	_, err := io.Copy(io.Discard, t.source)
	return err
}

// errMismatch says that the source has other bytes than the passage.
var errMismatch = errors.New("passage differs from its source")

// expect reads bytes from the source and compares them with content.
func (t *TilingChecker) expect(content string) error {
	for len(content) > 0 {
		n := min(len(content), markdown.HeadSize)
		part, err := t.source.Peek(n)
		if err == io.EOF {
			return errMismatch
		}
		if err != nil {
			return err
		}
		if string(part) != content[:n] {
			return errMismatch
		}
		if _, err := t.source.Discard(n); err != nil {
			return err
		}
		content = content[n:]
	}
	return nil
}

const byteOrderMark = '\uFEFF'

// checkGap reads n bytes, or all that are left if n is negative. They must be white space, or a
// byte order mark at the beginning of the source.
func (t *TilingChecker) checkGap(n int64) (wrong, err error) {
	for at := int64(0); n < 0 || at < n; {
		r, size, err := t.source.ReadRune()
		if err == io.EOF {
			if n < 0 {
				return nil, nil
			}
			return fmt.Errorf("passage %d begins after the end of the original", t.ordinal), nil
		}
		if err != nil {
			return nil, err
		}
		if !unicode.IsSpace(r) && (r != byteOrderMark || t.covered+at > 0) {
			return fmt.Errorf("no passage covers %q at byte %d of the original", r, t.covered+at), nil
		}
		at += int64(size)
	}
	return nil, nil
}

// skipFrontMatter skips front matter before the first passage, or before the end. What an earlier
// release took for front matter may be text for this one. So whatever is between two front matter
// fences and not covered by a passage counts as front matter.
func (t *TilingChecker) skipFrontMatter(start int64) error {
	head, err := t.source.Peek(markdown.HeadSize)
	if err != nil && err != io.EOF {
		return err
	}
	_, body := markdown.ParseFrontMatter(head)
	uncovered := head[:min(start, int64(len(head)))]
	skip := 0
	switch {
	case isFenced(uncovered):
		skip = len(uncovered)
	case body <= len(uncovered):
		skip = body
	}
	_, err = t.source.Discard(skip)
	t.covered = int64(skip)
	return err
}

// isFenced reports whether text begins and ends with a front matter fence.
func isFenced(text []byte) bool {
	lines := bytes.Split(bytes.TrimSpace(bytes.TrimPrefix(text, []byte(string(byteOrderMark)))), []byte("\n"))
	first, last := strings.TrimSpace(string(lines[0])), strings.TrimSpace(string(lines[len(lines)-1]))
	return len(lines) > 1 && (first == "---" && (last == "---" || last == "...") || first == "+++" && last == "+++")
}

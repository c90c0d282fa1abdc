package markdown

import (
	"bytes"
	"fmt"
	"io"
	"unicode/utf8"
)

// sizes are the limits of a scan, in bytes. The window must have room for a line and a paragraph.
type sizes struct {
	window    int // part of the source that is held in memory
	line      int // part of a line that decides about its block; the rest of the line is text
	piece     int // a piece
	paragraph int // a paragraph or an HTML heading that is held until its kind is known
}

const (
	defaultWindow = 256 << 10
	minWindow     = 16
)

// sizesOf returns the sizes of a scan with a window of n bytes.
func sizesOf(n int) sizes {
	n = max(n, minWindow)
	return sizes{window: n + maxEndBytes, line: n / 4, piece: max(n/16, utf8.UTFMax), paragraph: n / 4}
}

// window is the part of the source that is in memory. Positions that are used after a read are
// offsets in the source, because reading moves the bytes.
type window struct {
	r      io.Reader
	size   int // maximum length of buf
	buf    []byte
	base   int64 // offset of buf[0] in the source
	pos    int   // index of the next unread byte
	lf, cr int   // there is no \n in buf[pos:lf] and no \r in buf[pos:cr]
	err    error // error of the last read; nil if there may be more
}

func newWindow(r io.Reader, size int) *window {
	return &window{r: r, size: size}
}

// offset returns the offset in the source of the next unread byte.
func (w *window) offset() int64 { return w.base + int64(w.pos) }

// bytes returns the source from start to end, valid until the next read.
func (w *window) bytes(start, end int64) []byte {
	return w.buf[start-w.base : end-w.base]
}

// head returns the first n bytes of the source, or all of a shorter one.
func (w *window) head(n int) []byte {
	for len(w.buf) < n && w.err == nil {
		w.fill(0)
	}
	return w.buf[:min(n, len(w.buf))]
}

// line moves over the next line, with its ending, and returns its end offset. A line without an
// ending in its first limit bytes is cut there, between runes. complete is then false, and the next
// call returns the rest. Bytes from offset keep on stay in memory. The error is io.EOF at the end
// of the source.
func (w *window) line(limit int, keep int64) (end int64, complete bool, err error) {
	for {
		if n := w.lineLength(limit); n > 0 {
			w.pos += n
			return w.offset(), true, nil
		}
		switch rest := w.buf[w.pos:]; {
		// One byte more than the limit is needed, so that the cut does not depend on the sizes of
		// reads.
		case len(rest) > limit:
			w.pos += runeStart(rest, limit)
			return w.offset(), false, nil
		case w.err == nil:
			w.fill(int(keep - w.base))
		case w.err != io.EOF:
			return 0, false, fmt.Errorf("read markdown at byte %d: %w", w.base+int64(len(w.buf)), w.err)
		case len(rest) > 0:
			w.pos = len(w.buf)
			return w.offset(), true, nil
		default:
			return 0, false, io.EOF
		}
	}
}

// lineLength returns the length of the line at pos, or 0 if its ending is not in memory or not in
// its first limit bytes.
func (w *window) lineLength(limit int) int {
	w.lf = w.find(w.lf, '\n')
	w.cr = w.find(w.cr, '\r')
	end := min(w.lf, w.cr)
	switch {
	case end >= len(w.buf) || end-w.pos >= limit:
		return 0
	case end == w.lf:
		return end + 1 - w.pos
	case end+1 < len(w.buf) && w.buf[end+1] == '\n':
		return end + 2 - w.pos
	case end+1 < len(w.buf) || w.err != nil:
		return end + 1 - w.pos
	default:
		return 0 // the byte after \r has not been read
	}
}

// find returns the index of the first c at or after pos, or len(w.buf). from is its previous
// result, so that no byte is searched twice.
func (w *window) find(from int, c byte) int {
	from = max(from, w.pos)
	if i := bytes.IndexByte(w.buf[from:], c); i >= 0 {
		return from + i
	}
	return len(w.buf)
}

// fill reads more bytes into the window. It removes the bytes before index keep.
func (w *window) fill(keep int) {
	if keep > 0 {
		n := copy(w.buf, w.buf[keep:])
		w.buf = w.buf[:n]
		w.base += int64(keep)
		w.pos -= keep
		w.lf = max(w.lf-keep, 0)
		w.cr = max(w.cr-keep, 0)
	}
	if len(w.buf) == cap(w.buf) {
		// The window grows with the document, because few documents need all of it.
		w.buf = append(make([]byte, 0, min(max(32<<10, 2*cap(w.buf)), w.size)), w.buf...)
	}
	for range 100 {
		n, err := w.r.Read(w.buf[len(w.buf):cap(w.buf)])
		w.buf = w.buf[:len(w.buf)+n]
		w.err = err
		if n > 0 || err != nil {
			return
		}
	}
	w.err = io.ErrNoProgress
}

// runeStart returns the largest length up to n at which s, which is longer than n, can be cut
// between runes. It returns n if s is not UTF-8 there.
func runeStart(s []byte, n int) int {
	for i := n; i > 0 && i > n-utf8.UTFMax; i-- {
		if utf8.RuneStart(s[i]) {
			return i
		}
	}
	return n
}

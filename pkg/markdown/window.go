package markdown

import (
	"bytes"
	"fmt"
	"io"
	"unicode/utf8"
)

// sizes bounds what a scan holds in memory, in bytes. A window must hold a
// line and a paragraph at once.
type sizes struct {
	window    int // of the source held in memory
	line      int // of a line that its block may depend on; what follows is only text
	piece     int // of a piece
	paragraph int // of a paragraph or an HTML heading held back until it is known what it is
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

// window is the part of the source that is in memory. Positions that outlive
// a read are offsets in the source, because reading moves the bytes.
type window struct {
	r      io.Reader
	size   int // most bytes held
	buf    []byte
	base   int64 // offset in the source of buf[0]
	pos    int   // index of the next unread byte
	lf, cr int   // there is no \n in buf[pos:lf] and no \r in buf[pos:cr]
	err    error // why there is nothing more to read
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

// line moves over the next line, line ending included, and returns where it
// ends. A line with no ending in its first limit bytes is cut there, on a rune
// border, and whole is false; the rest is then the next line. Bytes from the
// offset keep on stay in memory. The error is io.EOF at the end of the source.
func (w *window) line(limit int, keep int64) (end int64, whole bool, err error) {
	for {
		if n := w.lineLength(limit); n > 0 {
			w.pos += n
			return w.offset(), true, nil
		}
		switch rest := w.buf[w.pos:]; {
		// One byte more than the limit, so that where a line is cut never
		// depends on how much the reader has delivered.
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

// lineLength returns the length of the line at pos, or 0 when its ending is
// not in memory or not among its first limit bytes.
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
		return 0 // the byte behind \r is still to be read
	}
}

// find returns the index of the first c at or behind pos, or the length of
// the window. It looks at no byte twice: from is its previous answer.
func (w *window) find(from int, c byte) int {
	from = max(from, w.pos)
	if i := bytes.IndexByte(w.buf[from:], c); i >= 0 {
		return from + i
	}
	return len(w.buf)
}

// fill fills the window, forgetting the bytes before index keep.
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
		// Few documents need all of it: the window grows as they do.
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

// runeStart returns the greatest length of at most n at which s, which is
// longer, can be cut without cutting a rune. In bytes that are not UTF-8 it is n.
func runeStart(s []byte, n int) int {
	for i := n; i > 0 && i > n-utf8.UTFMax; i-- {
		if utf8.RuneStart(s[i]) {
			return i
		}
	}
	return n
}

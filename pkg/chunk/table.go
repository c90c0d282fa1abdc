package chunk

import (
	"sort"
	"strings"

	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// maxContext is the maximum length of the head of a table, in bytes. Passages of a table with a
// longer head have no context.
const maxContext = 16 << 10

// tableHead is the head of a table: its header row and delimiter row. A nil *tableHead means no
// table.
type tableHead struct {
	start      int64 // offset in the source
	head       strings.Builder
	complete   bool // a body row has begun
	headerLost bool // the header row was too long to be recognised
}

// next returns the table that contains the piece. t is the table that contains the piece before it.
func (t *tableHead) next(piece markdown.Piece) *tableHead {
	if piece.Kind != markdown.KindTable {
		return nil
	}
	if piece.Boundary == markdown.BoundaryBlock || t == nil {
		t = &tableHead{start: piece.Start, headerLost: piece.BytesBefore > 0}
	}
	if piece.Boundary == markdown.BoundaryPart {
		t.complete = true
	}
	if !t.complete && t.head.Len() <= maxContext {
		t.head.Write(piece.Text)
	}
	return t
}

// context returns the head of the table for a passage that begins at offset start, or "" if that is
// not after the head.
func (t *tableHead) context(start int64) string {
	if t == nil || t.headerLost || start < t.start+int64(t.head.Len()) || t.head.Len() > maxContext {
		return ""
	}
	return strings.TrimRight(t.head.String(), "\r\n")
}

// columnsFrom returns the cells of the header row from the given cell on, as many as fit.
func (t *tableHead) columnsFrom(cell int, fits func(string) bool) string {
	row, _, _ := strings.Cut(t.head.String(), "\n")
	ends := cellEnds(row)
	if cell >= len(ends) {
		return ""
	}
	start := 0
	if cell > 0 {
		start = ends[cell-1]
	}
	columns := func(n int) string {
		return "| " + strings.TrimLeft(row[start:ends[cell+n-1]], "| \t")
	}
	n := sort.Search(len(ends)-cell, func(n int) bool { return !fits(columns(n + 1)) })
	if n == 0 {
		return ""
	}
	return columns(n)
}

package chunk

import (
	"strings"

	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// maxContext bounds the header and delimiter row of a table, in bytes. The
// passages of a table with a longer one have no context.
const maxContext = 4 << 10

// table is the head of a table. A nil table is none.
type table struct {
	start    int64 // offset in the source
	head     strings.Builder
	complete bool // a row of the body has begun
}

// next returns the table that the piece stands in, given the one of the piece before it.
func (t *table) next(piece markdown.Piece) *table {
	if piece.Kind != markdown.KindTable {
		return nil
	}
	if piece.Border == markdown.AtBlock || t == nil {
		t = &table{start: piece.Start}
	}
	if piece.Border == markdown.AtPart {
		t.complete = true
	}
	if !t.complete && t.head.Len() <= maxContext {
		t.head.Write(piece.Text)
	}
	return t
}

// context returns the head of the table for a passage that begins at the
// offset start, if that is behind the head.
func (t *table) context(start int64) string {
	if t == nil || start < t.start+int64(t.head.Len()) || t.head.Len() > maxContext {
		return ""
	}
	return strings.TrimRight(t.head.String(), "\r\n")
}

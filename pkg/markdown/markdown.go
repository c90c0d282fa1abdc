// Package markdown cuts a stream of CommonMark with the GitHub extensions into
// its top-level blocks without ever holding more of it than a fixed window.
//
// [Scan] follows the block phase of the specification
// (https://spec.commonmark.org/0.31.2/#phase-1-block-structure) line by line:
// it keeps the stack of open containers and the state of the innermost leaf,
// and never builds a tree. Inline markup is looked at in headings only.
package markdown

// Piece is a line of a document, or a part of one when the line is longer than
// 16 KiB. Pieces come in the order of the source and leave out no byte.
type Piece struct {
	Kind     Kind     // of the top-level block that the line belongs to
	Boundary Boundary // what begins here
	Blank    bool     // the line is blank; between blocks it belongs to the one before it
	Heading  *Heading // on the first piece of a heading, nil elsewhere
	Start    int64    // byte offset in the source
	Text     []byte   // the bytes, line ending included; valid until the next piece is asked for

	// BytesBefore is how many bytes before the piece its block begins, where Border
	// is AtBlock. They were yielded as lines of a paragraph, which was too long
	// to wait for its underline or delimiter row: this piece.
	BytesBefore int64
}

// End returns the byte offset in the source behind the piece.
func (p Piece) End() int64 { return p.Start + int64(len(p.Text)) }

// Kind is the kind of a top-level block.
type Kind uint8

// The kinds of block. KindNone is that of blank lines before the first block.
const (
	KindNone Kind = iota
	KindParagraph
	KindHeading
	KindFencedCode
	KindIndentedCode
	KindList
	KindQuote
	KindTable
	KindHTML
	KindThematicBreak
	KindDefinition // a link reference definition
	KindModule     // import and export statements, in MDX
)

// Boundary says what begins where a piece begins; a stronger one is greater.
type Boundary uint8

// The borders. In a table AtBlock marks the header row, AtLine the delimiter
// row and AtPart every other row. An HTML heading may begin within a line.
const (
	BoundaryNone  Boundary = iota // nothing: the piece continues a line
	BoundaryLine                  // a line of the block
	BoundaryPart                  // a further item of a list, a body row of a table, a heading in an HTML block
	BoundaryBlock                 // a block
)

// Heading is a heading at the top level of a document.
type Heading struct {
	Level int    // 1 to 6
	Text  string // without markup, at most 256 bytes; see [PlainText]
	Start int64  // byte offset in the source
}

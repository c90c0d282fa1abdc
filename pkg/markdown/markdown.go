package markdown

// Piece is a line of a document, or a part of a line that is longer than 16 KiB. Pieces are in the
// order of the source, without gaps.
type Piece struct {
	Kind     Kind     // of the top-level block that contains the line
	Boundary Boundary // what begins here
	Blank    bool     // the line is blank; between blocks it belongs to the block before it
	Heading  *Heading // set on the first piece of a heading, else nil
	Start    int64    // byte offset in the source
	Text     []byte   // the bytes, with the line ending; valid until the next piece is yielded

	// BytesBefore is the number of bytes before the piece at which its block begins. It is 0 except
	// in one case: a paragraph was too long to be held, so its lines were yielded before this
	// piece, an underline or a delimiter row, made a heading or a table of them. Boundary is then
	// BoundaryBlock.
	BytesBefore int64
}

// End returns the byte offset in the source after the piece.
func (p Piece) End() int64 { return p.Start + int64(len(p.Text)) }

// Kind is the kind of a top-level block.
type Kind uint8

// The kinds of blocks. KindNone is the kind of blank lines before the first block.
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

// Boundary says what begins at the start of a piece. Stronger boundaries are greater.
type Boundary uint8

// The boundaries. In a table, BoundaryBlock marks the header row, BoundaryLine the delimiter row
// and BoundaryPart every other row. An HTML heading may begin inside a line.
const (
	BoundaryNone  Boundary = iota // nothing: the piece continues a line
	BoundaryLine                  // a line of the block
	BoundaryPart                  // another item of a list, a body row of a table, a heading in an HTML block
	BoundaryBlock                 // a block
)

// Heading is a top-level heading of a document.
type Heading struct {
	Level int    // 1 to 6
	Text  string // without markup, 256 bytes at most; see [PlainText]
	Start int64  // byte offset in the source
}

package markdown

// maxDepth is how deep containers nest; markers beyond it are text. It keeps
// the cost of a line within a constant factor of its length.
const maxDepth = 32

// blockParser is the state of the block phase: the containers that are open, the
// leaf that is open in the innermost of them, and the block of the document
// that all this stands in.
type blockParser struct {
	stack      []container
	leaf       leaf
	fence      fence
	htmlEnds   func(line []byte) bool // whether the open HTML block ends with the line; nil: before a blank line
	defs       definitionParser       // of the open paragraph
	row        rowCounter             // the last line of the open paragraph, were it one of a table
	formulaEnd string                 // what ends the formula that is open in it; empty: none is

	modules   bool      // import and export statements are blocks
	statement statement // that is open

	topKind    Kind       // of the latest top-level block
	listMarker byte       // of its items, if it is a list
	effect     lineEffect // what the current line does at the top level
}

// container is an open block quote or list item.
type container struct {
	item   bool
	indent int  // columns that a line of the item is indented by
	empty  bool // the item holds nothing yet
}

// leaf is the kind of the open leaf block.
type leaf uint8

const (
	leafNone leaf = iota
	leafParagraph
	leafFenced
	leafIndented
	leafHTML
	leafTable
	leafModule
)

// lineEffect is what a line does at the top level of the document.
type lineEffect struct {
	kind            Kind
	boundary        Boundary // a heading or a table at AtLine turns the paragraph before it into one
	blank           bool
	level           int  // of a heading
	inTagBlock      bool // the line stands in an HTML block of tags, which a blank line ends
	mayBeDefinition bool // a link reference definition may begin with this line of a paragraph
	definitionLines int  // number of lines of the paragraph that are definitions, if it ends here
}

// parseLine takes the next line, without its ending. A line that is cut short is
// none of those blocks which only the whole of a line can tell, and blank if
// nothing but white space is left of it.
func (b *blockParser) parseLine(s []byte, cut bool) lineEffect {
	s = trimSpaces(s)
	c := cursor{s: s}
	depth := b.matchContainers(&c)
	all := depth == len(b.stack)
	b.effect = lineEffect{kind: b.topKind, boundary: BoundaryLine}

	switch {
	case all && b.continueVerbatim(&c, cut):
		b.effect.blank = len(s) == 0
	case c.isBlank():
		// The next line begins something new, if this is not an indented
		// code block, which goes on when more code follows.
		if !all || b.leaf != leafIndented {
			b.closeTo(depth, leafNone)
		}
		b.effect.blank = len(s) == 0
	default:
		b.parseText(&c, depth, cut)
	}
	b.effect.inTagBlock = len(b.stack) == 0 && b.leaf == leafHTML && b.htmlEnds == nil
	return b.effect
}

// matchContainers moves over the markers of the open containers that the line
// continues, and returns how many those are.
func (b *blockParser) matchContainers(c *cursor) int {
	for n, open := range b.stack {
		width, next := c.indent()
		blank := next >= len(c.s)
		switch {
		case !open.item && width < 4 && !blank && c.s[next] == '>':
			c.skipBytes(1)
			c.skipColumns(1)
		case open.item && blank && !open.empty:
			c.skipBytes(0)
		case open.item && !blank && width >= open.indent:
			c.skipColumns(open.indent)
		default:
			return n
		}
	}
	return len(b.stack)
}

// continueVerbatim reports whether the line belongs to the open code or HTML
// block, and closes the block if the line is its last.
func (b *blockParser) continueVerbatim(c *cursor, cut bool) bool {
	width, next := c.indent()
	switch b.leaf {
	case leafFenced:
		if width < 4 && !cut && b.fence.isClosedBy(c.s[next:]) {
			b.leaf = leafNone
		}
	case leafHTML:
		if b.htmlEnds == nil {
			return next < len(c.s)
		}
		if b.htmlEnds(c.s[c.i:]) {
			b.leaf = leafNone
		}
	case leafIndented:
		return width >= 4 && next < len(c.s)
	case leafModule:
		return b.statement.accepts(c.s, cut)
	default:
		return false
	}
	return true
}

// maxEndBytes is how many bytes before a cut may belong to a text that ends a
// block or a formula.
const maxEndBytes = max(maxHTMLEndBytes, maxFormulaEndBytes)

// parseRest takes a further part of a line that was cut, which is s from index n
// on: before that are a few bytes of the line before the cut.
func (b *blockParser) parseRest(s []byte, n int) {
	switch {
	case b.leaf == leafHTML && b.htmlEnds != nil && b.htmlEnds(s):
		b.leaf = leafNone
	case b.leaf == leafParagraph:
		b.row.feed(s[n:])
		b.formulaEnd = formulaEndInRest(b.formulaEnd, s[:n], s[n:])
	}
}

// parseText takes a line that is not blank, behind the markers of the first depth
// containers, which it continues.
func (b *blockParser) parseText(c *cursor, depth int, cut bool) {
	// Until the line opens a block, it may still continue an open paragraph,
	// even without the markers of the containers around it (laziness).
	var (
		all  = depth == len(b.stack)
		para = b.leaf == leafParagraph && all
		lazy = b.leaf == leafParagraph
		row  = b.leaf == leafTable && all
	)
	if para && b.formulaEnd != "" && !endsFormula(c) {
		_, next := c.indent()
		b.continueParagraph(c.s[next:], cut)
		return
	}
	if b.modules && depth == 0 && !lazy && beginsStatement(c.s) {
		b.openBlock(depth, leafModule, KindModule)
		b.statement = statement{}
		b.statement.accepts(c.s, cut)
		return
	}
	for {
		width, next := c.indent()
		s := c.s[next:]
		if len(s) == 0 {
			return // behind the marker of a container that begins with a blank line
		}
		if width >= 4 {
			if !lazy {
				b.openBlock(depth, leafIndented, KindIndentedCode)
				return
			}
			break
		}
		if b.openLeaf(s, depth, para, lazy, cut) {
			return
		}
		if depth == maxDepth {
			break
		}
		if s[0] == '>' {
			b.openBlock(depth, leafNone, KindQuote)
			b.stack = append(b.stack, container{})
			c.skipBytes(1)
			c.skipColumns(1)
		} else if m, ok := listMarker(s, para); ok {
			b.openItem(depth, m.kind)
			b.stack = append(b.stack, m.openItem(c))
		} else {
			break
		}
		depth++
		para, lazy, row = false, false, false
	}

	width, next := c.indent()
	s := c.s[next:]
	switch {
	case para && !cut && !b.defs.onlyDefinitions() && width < 4 && b.row.cells() == delimiterCells(s):
		b.closeTo(depth, leafTable)
		b.setTopLevel(KindTable, BoundaryLine)
	case row:
		b.setTopLevel(KindTable, BoundaryPart)
	case lazy:
		b.continueParagraph(s, cut)
	default:
		b.openBlock(depth, leafParagraph, KindParagraph)
		b.defs, b.formulaEnd = definitionParser{}, ""
		b.continueParagraph(s, cut)
	}
}

func (b *blockParser) continueParagraph(s []byte, cut bool) {
	if cut {
		b.defs.addText()
	} else {
		b.effect.mayBeDefinition = b.defs.feed(s)
	}
	b.effect.definitionLines = b.defs.definitionLines
	b.row = rowCounter{}
	b.row.feed(s)
	b.formulaEnd = formulaEnd(b.formulaEnd, s)
}

// openLeaf opens the leaf block, other than a paragraph, an indented code
// block or a table, that s begins. It reports whether there is one. What the
// line could continue otherwise is as in text.
func (b *blockParser) openLeaf(s []byte, depth int, para, lazy, cut bool) bool {
	switch s[0] {
	case '#':
		level := atxLevel(s)
		if level == 0 {
			return false
		}
		b.openBlock(depth, leafNone, KindHeading)
		b.effect.level = level
	case '`', '~':
		f, ok := openingFence(s)
		if !ok {
			return false
		}
		b.openBlock(depth, leafFenced, KindFencedCode)
		b.fence = f
	case '<':
		end, ok := openingHTML(s, lazy, cut)
		if !ok {
			return false
		}
		b.openBlock(depth, leafHTML, KindHTML)
		b.htmlEnds = end
		if end != nil && end(s) {
			b.leaf = leafNone
		}
	case '=', '-', '*', '_':
		if cut {
			return false
		}
		level := setextLevel(s)
		if level > 0 && para && !b.defs.onlyDefinitions() {
			b.closeTo(depth, leafNone)
			b.setTopLevel(KindHeading, BoundaryLine)
			b.effect.level = level
			return true
		}
		if !isThematicBreak(s) {
			return false
		}
		b.openBlock(depth, leafNone, KindThematicBreak)
	default:
		return false
	}
	return true
}

// closeTo closes all containers but the first depth and the leaf in them, and
// makes l the open leaf.
func (b *blockParser) closeTo(depth int, l leaf) {
	b.stack = b.stack[:depth]
	b.leaf = l
}

// openBlock begins a block in the first depth containers.
func (b *blockParser) openBlock(depth int, l leaf, kind Kind) {
	b.closeTo(depth, l)
	if depth > 0 {
		b.stack[depth-1].empty = false
	}
	b.setTopLevel(kind, BoundaryBlock)
}

// openItem begins a list item in the first depth containers.
func (b *blockParser) openItem(depth int, marker byte) {
	further := depth == 0 && b.topKind == KindList && b.listMarker == marker
	b.openBlock(depth, leafNone, KindList)
	switch {
	case further:
		b.effect.boundary = BoundaryPart
	case depth == 0:
		b.listMarker = marker
	}
}

// setTopLevel notes what the line does, if it does it at the top level.
func (b *blockParser) setTopLevel(kind Kind, border Boundary) {
	if len(b.stack) == 0 {
		b.topKind = kind
		b.effect.kind, b.effect.boundary = kind, border
	}
}

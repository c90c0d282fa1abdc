package markdown

// maxDepth is the maximum nesting of containers; deeper markers are text. It keeps the cost of a
// line within a constant factor of its length.
const maxDepth = 32

// blockParser is the state of the block phase: the open containers, the open leaf in the innermost
// container, and the top-level block that contains them.
type blockParser struct {
	stack      []container
	leaf       leaf
	fence      fence
	htmlEnds   func(line []byte) bool // reports whether line ends the open HTML block; nil: a blank line ends it
	defs       definitionParser       // of the open paragraph
	row        rowCounter             // of the last line of the open paragraph, which may become a header row
	formulaEnd string                 // ends the open formula of the open paragraph; empty for no formula

	modules   bool      // import and export statements are blocks
	statement statement // the open statement

	topKind    Kind       // of the latest top-level block
	listMarker byte       // of the items of that block, if it is a list
	effect     lineEffect // of the current line on the top level
}

// container is an open block quote or list item.
type container struct {
	item   bool
	indent int  // indentation of the lines of the item, in columns
	empty  bool // the item has no content yet
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

// lineEffect is the effect of a line on the top level of the document.
type lineEffect struct {
	kind            Kind
	boundary        Boundary // BoundaryLine with a heading or a table: the paragraph before the line becomes one
	blank           bool
	level           int  // of a heading
	inTagBlock      bool // the line is in an HTML block that ends at a blank line
	mayBeDefinition bool // a link reference definition may begin with this line of a paragraph
	definitionLines int  // number of lines of the paragraph that are definitions, if it ends here
}

// parseLine takes the next line, without its ending. cut says that s is only the beginning of the
// line. A cut line does not open or close blocks that need the complete line to be recognised. It
// is blank if s is only white space.
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
		// A blank line closes the leaf. Only indented code stays open, because more code may
		// follow.
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

// matchContainers moves over the markers of the open containers that the line continues, and
// returns their number.
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

// continueVerbatim reports whether the line belongs to the open code block, HTML block or module.
// It closes the block if the line is its last one.
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

// maxEndBytes is the maximum length of a text that ends a block or a formula, in bytes. Such a text
// may be divided by a cut.
const maxEndBytes = max(maxHTMLEndBytes, maxFormulaEndBytes)

// parseRest takes the next part of a line that was cut: s[n:]. s[:n] is the end of the part before
// it.
func (b *blockParser) parseRest(s []byte, n int) {
	switch {
	case b.leaf == leafHTML && b.htmlEnds != nil && b.htmlEnds(s):
		b.leaf = leafNone
	case b.leaf == leafParagraph:
		b.row.feed(s[n:])
		b.formulaEnd = formulaEndInRest(b.formulaEnd, s[:n], s[n:])
	}
}

// parseText takes a line that is not blank. The line continues the first depth containers, and c is
// after their markers.
func (b *blockParser) parseText(c *cursor, depth int, cut bool) {
	// Until the line opens a block, it may still continue an open paragraph, even without the
	// markers of the containers around the paragraph (a lazy continuation line).
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
			return // the rest after a container marker is blank
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

// openLeaf opens the leaf block that begins with s, if it is not a paragraph, an indented code
// block or a table. It reports whether there is one. para and lazy say which paragraph the line
// could continue instead, as in parseText.
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

// closeTo closes the leaf and all containers except the first depth, and makes l the open leaf.
func (b *blockParser) closeTo(depth int, l leaf) {
	b.stack = b.stack[:depth]
	b.leaf = l
}

// openBlock opens a block in the first depth containers.
func (b *blockParser) openBlock(depth int, l leaf, kind Kind) {
	b.closeTo(depth, l)
	if depth > 0 {
		b.stack[depth-1].empty = false
	}
	b.setTopLevel(kind, BoundaryBlock)
}

// openItem opens a list item in the first depth containers.
func (b *blockParser) openItem(depth int, marker byte) {
	sameList := depth == 0 && b.topKind == KindList && b.listMarker == marker
	b.openBlock(depth, leafNone, KindList)
	switch {
	case sameList:
		b.effect.boundary = BoundaryPart
	case depth == 0:
		b.listMarker = marker
	}
}

// setTopLevel sets the effect of the line if no container is open.
func (b *blockParser) setTopLevel(kind Kind, boundary Boundary) {
	if len(b.stack) == 0 {
		b.topKind = kind
		b.effect.kind, b.effect.boundary = kind, boundary
	}
}

package markdown

// maxDepth is how deep containers nest; markers beyond it are text. It keeps
// the cost of a line within a constant factor of its length.
const maxDepth = 32

// blocks is the state of the block phase: the containers that are open, the
// leaf that is open in the innermost of them, and the block of the document
// that all this stands in.
type blocks struct {
	stack []container
	leaf  leaf
	fence fence
	html  func(line []byte) bool // whether the open HTML block ends with the line; nil: before a blank line
	defs  definitions            // of the open paragraph
	row   row                    // the last line of the open paragraph, were it one of a table
	math  string                 // what ends the formula that is open in it; empty: none is

	modules   bool      // import and export statements are blocks
	statement statement // that is open

	top    Kind // of the latest top-level block
	marker byte // of its items, if it is a list
	step   step // what the current line does at the top level
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
	noLeaf leaf = iota
	paragraphLeaf
	fencedLeaf
	indentedLeaf
	htmlLeaf
	tableLeaf
	moduleLeaf
)

// step is what a line does at the top level of the document.
type step struct {
	kind   Kind
	border Border // a heading or a table at AtLine turns the paragraph before it into one
	blank  bool
	level  int  // of a heading
	tags   bool // the line stands in an HTML block of tags, which a blank line ends
	def    bool // a link reference definition may begin with this line of a paragraph
	defs   int  // number of lines of the paragraph that are definitions, if it ends here
}

// line takes the next line, without its ending. A line that is cut short is
// none of those blocks which only the whole of a line can tell, and blank if
// nothing but white space is left of it.
func (b *blocks) line(s []byte, cut bool) step {
	s = trimSpaces(s)
	c := cursor{s: s}
	depth := b.matchContainers(&c)
	all := depth == len(b.stack)
	b.step = step{kind: b.top, border: AtLine}

	switch {
	case all && b.continueVerbatim(&c, cut):
		b.step.blank = len(s) == 0
	case c.blank():
		// The next line begins something new, if this is not an indented
		// code block, which goes on when more code follows.
		if !all || b.leaf != indentedLeaf {
			b.enter(depth, noLeaf)
		}
		b.step.blank = len(s) == 0
	default:
		b.text(&c, depth, cut)
	}
	b.step.tags = len(b.stack) == 0 && b.leaf == htmlLeaf && b.html == nil
	return b.step
}

// matchContainers moves over the markers of the open containers that the line
// continues, and returns how many those are.
func (b *blocks) matchContainers(c *cursor) int {
	for n, open := range b.stack {
		width, next := c.indent()
		blank := next >= len(c.s)
		switch {
		case !open.item && width < 4 && !blank && c.s[next] == '>':
			c.take(1)
			c.skip(1)
		case open.item && blank && !open.empty:
			c.take(0)
		case open.item && !blank && width >= open.indent:
			c.skip(open.indent)
		default:
			return n
		}
	}
	return len(b.stack)
}

// continueVerbatim reports whether the line belongs to the open code or HTML
// block, and closes the block if the line is its last.
func (b *blocks) continueVerbatim(c *cursor, cut bool) bool {
	width, next := c.indent()
	switch b.leaf {
	case fencedLeaf:
		if width < 4 && !cut && b.fence.closedBy(c.s[next:]) {
			b.leaf = noLeaf
		}
	case htmlLeaf:
		if b.html == nil {
			return next < len(c.s)
		}
		if b.html(c.s[c.i:]) {
			b.leaf = noLeaf
		}
	case indentedLeaf:
		return width >= 4 && next < len(c.s)
	case moduleLeaf:
		return b.statement.takes(c.s, cut)
	default:
		return false
	}
	return true
}

// longestEnd is how many bytes before a cut may belong to a text that ends a
// block or a formula.
const longestEnd = max(longestHTMLEnd, longestFormulaEnd)

// more takes a further part of a line that was cut, which is s from index n
// on: before that are a few bytes of the line before the cut.
func (b *blocks) more(s []byte, n int) {
	switch {
	case b.leaf == htmlLeaf && b.html != nil && b.html(s):
		b.leaf = noLeaf
	case b.leaf == paragraphLeaf:
		b.row.feed(s[n:])
		b.math = formulaEndBehind(b.math, s[:n], s[n:])
	}
}

// text takes a line that is not blank, behind the markers of the first depth
// containers, which it continues.
func (b *blocks) text(c *cursor, depth int, cut bool) {
	// Until the line opens a block, it may still continue an open paragraph,
	// even without the markers of the containers around it (laziness).
	var (
		all  = depth == len(b.stack)
		para = b.leaf == paragraphLeaf && all
		lazy = b.leaf == paragraphLeaf
		row  = b.leaf == tableLeaf && all
	)
	if para && b.math != "" && !leavesFormula(c) {
		_, next := c.indent()
		b.continueParagraph(c.s[next:], cut)
		return
	}
	if b.modules && depth == 0 && !lazy && beginsStatement(c.s) {
		b.open(depth, moduleLeaf, KindModule)
		b.statement = statement{}
		b.statement.takes(c.s, cut)
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
				b.open(depth, indentedLeaf, KindIndentedCode)
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
			b.open(depth, noLeaf, KindQuote)
			b.stack = append(b.stack, container{})
			c.take(1)
			c.skip(1)
		} else if m, ok := listMarker(s, para); ok {
			b.openItem(depth, m.kind)
			b.stack = append(b.stack, m.item(c))
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
		b.enter(depth, tableLeaf)
		b.set(KindTable, AtLine)
	case row:
		b.set(KindTable, AtPart)
	case lazy:
		b.continueParagraph(s, cut)
	default:
		b.open(depth, paragraphLeaf, KindParagraph)
		b.defs, b.math = definitions{}, ""
		b.continueParagraph(s, cut)
	}
}

func (b *blocks) continueParagraph(s []byte, cut bool) {
	if cut {
		b.defs.end()
	} else {
		b.step.def = b.defs.feed(s)
	}
	b.step.defs = b.defs.done
	b.row = row{}
	b.row.feed(s)
	b.math = formulaEnd(b.math, s)
}

// openLeaf opens the leaf block, other than a paragraph, an indented code
// block or a table, that s begins. It reports whether there is one. What the
// line could continue otherwise is as in text.
func (b *blocks) openLeaf(s []byte, depth int, para, lazy, cut bool) bool {
	switch s[0] {
	case '#':
		level := atxLevel(s)
		if level == 0 {
			return false
		}
		b.open(depth, noLeaf, KindHeading)
		b.step.level = level
	case '`', '~':
		f, ok := openingFence(s)
		if !ok {
			return false
		}
		b.open(depth, fencedLeaf, KindFencedCode)
		b.fence = f
	case '<':
		end, ok := openingHTML(s, lazy, cut)
		if !ok {
			return false
		}
		b.open(depth, htmlLeaf, KindHTML)
		b.html = end
		if end != nil && end(s) {
			b.leaf = noLeaf
		}
	case '=', '-', '*', '_':
		if cut {
			return false
		}
		level := setextLevel(s)
		if level > 0 && para && !b.defs.onlyDefinitions() {
			b.enter(depth, noLeaf)
			b.set(KindHeading, AtLine)
			b.step.level = level
			return true
		}
		if !isThematicBreak(s) {
			return false
		}
		b.open(depth, noLeaf, KindThematicBreak)
	default:
		return false
	}
	return true
}

// enter closes all containers but the first depth and the leaf in them, and
// makes l the open leaf.
func (b *blocks) enter(depth int, l leaf) {
	b.stack = b.stack[:depth]
	b.leaf = l
}

// open begins a block in the first depth containers.
func (b *blocks) open(depth int, l leaf, kind Kind) {
	b.enter(depth, l)
	if depth > 0 {
		b.stack[depth-1].empty = false
	}
	b.set(kind, AtBlock)
}

// openItem begins a list item in the first depth containers.
func (b *blocks) openItem(depth int, marker byte) {
	further := depth == 0 && b.top == KindList && b.marker == marker
	b.open(depth, noLeaf, KindList)
	switch {
	case further:
		b.step.border = AtPart
	case depth == 0:
		b.marker = marker
	}
}

// set notes what the line does, if it does it at the top level.
func (b *blocks) set(kind Kind, border Border) {
	if len(b.stack) == 0 {
		b.top = kind
		b.step.kind, b.step.border = kind, border
	}
}

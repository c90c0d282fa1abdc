package markdown

import (
	"bytes"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	east "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
)

// block is a top-level block as a range of complete lines, without the blank lines after it.
type block struct {
	Kind       Kind
	Start, End int
}

var oracle = goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser()

// goldmarkBlocks returns the top-level blocks of src that goldmark finds. goldmark knows where a
// block begins and where its text ends. The block itself may end later, after a closing fence, an
// underline or an empty item. So the end of a block is the end of the last line before the next
// block that is not blank.
func goldmarkBlocks(src []byte) []block {
	var blocks []block
	for n := oracle.Parse(text.NewReader(src)).FirstChild(); n != nil; n = n.NextSibling() {
		b := block{Kind: goldmarkKind(n), Start: n.Pos()}
		if n.Kind() == east.KindTable {
			b.Start = n.FirstChild().Pos() // n.Pos() is the start of the paragraph before the table
		}
		b.Start = bytes.LastIndexByte(src[:b.Start], '\n') + 1
		blocks = append(blocks, b)
	}
	for i := range blocks {
		next := len(src)
		if i+1 < len(blocks) {
			next = blocks[i+1].Start
		}
		blocks[i].End = endOfText(src[:next])
	}
	return blocks
}

// endOfText returns the end of the last line of src that is not blank.
func endOfText(src []byte) int {
	end := len(bytes.TrimRight(src, " \t\r\n"))
	if i := bytes.IndexByte(src[end:], '\n'); i >= 0 {
		return end + i + 1
	}
	return len(src)
}

func goldmarkKind(n ast.Node) Kind {
	switch n.Kind() {
	case ast.KindParagraph:
		return KindParagraph
	case ast.KindHeading:
		return KindHeading
	case ast.KindFencedCodeBlock:
		return KindFencedCode
	case ast.KindCodeBlock:
		return KindIndentedCode
	case ast.KindList:
		return KindList
	case ast.KindBlockquote:
		return KindQuote
	case east.KindTable:
		return KindTable
	case ast.KindHTMLBlock:
		return KindHTML
	case ast.KindThematicBreak:
		return KindThematicBreak
	case ast.KindLinkReferenceDefinition:
		return KindDefinition
	}
	return KindNone
}

// scanBlocks returns the top-level blocks of src that Scan finds.
func scanBlocks(src []byte, opt Options) []block {
	var blocks []block
	for p, err := range Scan(bytes.NewReader(src), opt) {
		switch {
		case err != nil:
			panic(err) // a bytes.Reader does not fail
		case p.Boundary == BoundaryBlock:
			start := int(p.Start - p.BytesBefore)
			if n := len(blocks) - 1; p.BytesBefore > 0 {
				if blocks[n].End = start; blocks[n].Start == start {
					blocks = blocks[:n]
				}
			}
			blocks = append(blocks, block{p.Kind, start, int(p.End())})
		case !p.Blank:
			blocks[len(blocks)-1].End = int(p.End())
		}
	}
	return blocks
}

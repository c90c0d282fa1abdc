package markdown

import (
	"bytes"
	"cmp"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"

	gocmp "github.com/google/go-cmp/cmp"
)

// FuzzScanner checks that the pieces of any document have no gaps, that their boundaries are
// consistent, and that they do not depend on the sizes of reads.
func FuzzScanner(f *testing.F) {
	for _, src := range corpus(f) {
		if len(src) < 4<<10 {
			f.Add(src, uint8(0), uint8(SyntaxCommonMark))
			f.Add(src, uint8(64), uint8(SyntaxCommonMark))
		}
	}
	for _, src := range []string{
		"", "\n", "\r", "\r\n\r\n", "\uFEFF# a\r\rb\r\n", "---\na: b\n---\n# c\n", "---\nfoo\n---\n",
		"<", "</", "<h", "</h1", "a\n===\n\nb\n---\nc | d\n--|--\ne | f\n", "[a]: b\n'c\nd'\n[e]: <f>\n===\n", "```\n\n~~~\n``\n````\n",
		"- a\n\n  b\n+ c\n 1. d\n10) e\n", "> a\nb\n>> c\n\n> d", "<!-- a\n\n--> b\n<div>\n\n<x>\n", "\ta\n\n    b\n  c\n",
		strings.Repeat(">", 100) + "a\n" + strings.Repeat("- ", 60) + "b\n", "a\x80\xff" + strings.Repeat("é", 99) + "\n|a|\n|-|\n",
		"# a\n" + strings.Repeat(" ", 50) + "b\n|a|\n|-|\n" + strings.Repeat("\t", 50) + "\n",
		strings.Repeat("[a]: b\n", 9), "<pre>\n" + strings.Repeat("x", 36) + "</pre>\na\n", "> [a]: b\n> ===\nc\n",
		strings.Repeat("x", 40) + "\n===\n", strings.Repeat("x", 80) + "\n---\n", "[a]: " + strings.Repeat("x", 80) + "\n===\n",
		strings.Repeat("a|", 40) + "\n" + strings.Repeat("-|", 40) + "\n", "a\n" + strings.Repeat("x", 41) + "\n|a|\n|-|\n",
		"$$\na\n=\nb\n$$\n", "\\[\na\n-\n\\]\n===\n", "\\begin{align}\n===\n\\end{align}\n---\n", "$$\n# a\n",
		"<h1 align=center>\n<img alt='a'>\nb</h1><H2>c</H2>\n<p>d<h3>e\n\nf", "<div><!--\n<h1>a</h1>\n--><h1>b</div>\n", "<h1>" + strings.Repeat("x\n", 40) + "</h1>\n",
		"import a from 'b'\nexport const c = {\n\n  d: `}`,\n}\n\n# e\n", "export const a = {\n\nb\n", "import it, or export the lot\n===\n",
	} {
		for i, window := range []uint8{0, 16, 40, 128} {
			f.Add([]byte(src), window, uint8(i))
		}
	}
	f.Fuzz(func(t *testing.T, src []byte, window, syntax uint8) {
		opt := Options{Syntax: Syntax(syntax % 3), Window: int(window)}
		want := pieces(t, bytes.NewReader(src), opt)
		checkPieces(t, src, opt, want)
		got := pieces(t, iotest.OneByteReader(bytes.NewReader(src)), opt)
		if !reflect.DeepEqual(want, got) {
			t.Fatalf("pieces differ if read byte by byte (-all at once +byte by byte)\n%s", gocmp.Diff(want, got))
		}
	})
}

func pieces(t *testing.T, r io.Reader, opt Options) []Piece {
	var all []Piece
	for p, err := range Scan(r, opt) {
		if err != nil {
			t.Fatal(err)
		}
		p.Text = bytes.Clone(p.Text)
		all = append(all, p)
	}
	return all
}

func checkPieces(t *testing.T, src []byte, opt Options, all []Piece) {
	sz := sizesOf(cmp.Or(opt.Window, defaultWindow))
	_, body := ParseFrontMatter(src[:min(len(src), sz.window)])
	if opt.Syntax == SyntaxPlain {
		body = len(src) - len(trimByteOrderMark(src))
	}
	at, kind := int64(body), KindNone
	for i, p := range all {
		switch {
		case p.Start != at || len(p.Text) == 0 || len(p.Text) > sz.piece:
			t.Fatalf("piece %d is at %d and has %d bytes, after a piece that ends at %d", i, p.Start, len(p.Text), at)
		case !bytes.Equal(p.Text, src[p.Start:p.End()]):
			t.Fatalf("piece %d is %q, the source there is %q", i, p.Text, src[p.Start:p.End()])
		case p.Boundary != BoundaryBlock && p.Kind != kind:
			t.Fatalf("piece %d changes the kind from %d to %d inside a block", i, kind, p.Kind)
		case p.Boundary == BoundaryPart && p.Kind != KindList && p.Kind != KindTable && p.Heading == nil:
			t.Fatalf("piece %d begins a part of a block of kind %d, which has no parts", i, p.Kind)
		case p.Kind != KindHTML && (p.Heading != nil) != (p.Kind == KindHeading && p.Boundary == BoundaryBlock) || p.Heading != nil && p.Boundary < BoundaryPart:
			t.Fatalf("piece %d of kind %d at boundary %d has the heading %v", i, p.Kind, p.Boundary, p.Heading)
		case p.Boundary == BoundaryBlock && (p.Blank || p.Kind == KindNone):
			t.Fatalf("piece %d begins a block, but has kind %d and blank %t", i, p.Kind, p.Blank)
		case p.BytesBefore != 0 && (p.Boundary != BoundaryBlock || p.BytesBefore < 0 || kind != KindParagraph || p.Kind != KindHeading && p.Kind != KindTable):
			t.Fatalf("the block of piece %d, of kind %d, begins %d bytes before it, in a block of kind %d", i, p.Kind, p.BytesBefore, kind)
		}
		at, kind = p.End(), p.Kind
	}
	if at != int64(len(src)) {
		t.Fatalf("the pieces end at %d, want %d", at, len(src))
	}
}

// FuzzBlocks compares the blocks of CommonMark documents with goldmark's, and the blocks and
// headings that are found with a small window with those of a large one.
func FuzzBlocks(f *testing.F) {
	const a, row, underline, line = "\x07", "\x0b", "\x0d", "\x00"
	for _, seed := range []string{
		strings.Repeat(a, 90) + line + underline + line + a, strings.Repeat(a+line, 90) + underline + line + a,
		a + line + strings.Repeat(row, 30) + line + underline, row + strings.Repeat(a, 90) + line + "\x0a" + line + a,
	} {
		f.Add([]byte(seed), uint8(16))
		f.Add([]byte(seed), uint8(100))
	}
	f.Fuzz(func(t *testing.T, seed []byte, window uint8) {
		src := composeSource(seed)
		want := scanBlocks(src, Options{})
		opt := Options{Window: int(window)}
		front, _ := ParseFrontMatter(src)
		if front.End == 0 && fitsSizes(src, sizesOf(opt.Window)) {
			if diff := gocmp.Diff(want, scanBlocks(src, opt)); diff != "" {
				t.Errorf("with a window of %d bytes (-large +small)\n%q\n%s", window, src, diff)
			}
			if diff := gocmp.Diff(headings(t, src, Options{}), headings(t, src, opt)); diff != "" {
				t.Errorf("headings with a window of %d bytes (-large +small)\n%q\n%s", window, src, diff)
			}
		}
		if goldmarkDeviates(src) {
			return
		}
		if diff := gocmp.Diff(goldmarkBlocks(src), want); diff != "" {
			t.Errorf("(-goldmark +scan)\n%q\n%s", src, diff)
		}
	})
}

// composeSource returns a document for a seed. Each byte selects one of the texts that matter to
// the rules of blocks.
func composeSource(seed []byte) []byte {
	texts := []string{
		"\n", "\n", "\n", "\n\n", " ", "  ", "    ", "a", "b c", "| ", "|-|-|", "|a|b|", "# ", "===", "---", "-", "- ", "+ ", "* ", "1. ", "2) ", "> ", ">",
		"```", "~~~", "<div>", "</div>", "<!--", "-->", "<x>", "<pre>", "</pre>", "[a]: b", "'c'", "[", "]:", "\\", "***", "`", "é", "10. ", "<?", "?>", "$$", "a|b",
	}
	var src []byte
	for _, c := range seed {
		src = append(src, texts[int(c)%len(texts)]...)
	}
	return src
}

// fitsSizes reports whether src has the same blocks with these sizes as with larger ones: no link
// reference definition is too long, and no line that must be complete to be recognised.
func fitsSizes(src []byte, sz sizes) bool {
	for paragraph := range bytes.SplitSeq(src, []byte("\n\n")) {
		if len(paragraph)+len("\n\n") > sz.paragraph && bytes.IndexByte(paragraph, '[') >= 0 {
			return false
		}
	}
	for line := range bytes.Lines(src) {
		if len(line) > sz.line && !textBegins.Match(line[:sz.line]) {
			return false
		}
	}
	return true
}

// textBegins matches the beginning of a line that is text after its markers.
var textBegins = regexp.MustCompile(`^[-+*>=.)\d| \\]*[a-cé]`)

// headings returns the headings of src that Scan yields.
func headings(t *testing.T, src []byte, opt Options) []Heading {
	var all []Heading
	for _, p := range pieces(t, bytes.NewReader(src), opt) {
		if p.Heading != nil {
			all = append(all, *p.Heading)
		}
	}
	return all
}

// goldmarkDeviates reports whether src may contain text that goldmark does not parse as the
// specification says.
func goldmarkDeviates(src []byte) bool {
	var above []byte
	table := false
	for fullLine := range bytes.Lines(src) {
		line := bytes.TrimLeft(trimSpaces(trimEnding(fullLine)), "> \t")
		delimiter := delimiterCells(line) > 0
		switch {
		case delimiter && (delimiterCells(line) != rowCells(above) || delimiterCells(above) > 0):
			return true // goldmark adds cells to a header row that has too few
		case delimiter && bytes.HasPrefix(bytes.TrimLeft(fullLine, " \t"), []byte(">")):
			return true // goldmark accepts a lazy line as a row
		case table && len(line) > 0 && !bytes.HasPrefix(line, []byte("|")) && !isLetter(line[0]) || table && bytes.HasPrefix(fullLine, []byte("    ")):
			return true // goldmark ends a table at other lines than the specification
		}
		table = delimiter || table && len(line) > 0
		above = line
	}
	return slices.ContainsFunc(goldmarkDeviations, func(re *regexp.Regexp) bool { return re.Match(src) })
}

var goldmarkDeviations = []*regexp.Regexp{
	regexp.MustCompile(`\\\[|\$\$`), // a formula, which CommonMark does not have
	regexp.MustCompile(`(?:(?:[-+*>]|\d+[.)])[ \t]*){` + strconv.Itoa(maxDepth+1) + `}`), // a nesting beyond maxDepth
	regexp.MustCompile(`\]:`),                         // an item without text after a definition
	regexp.MustCompile(`(?m)(?:[-+*]|\d[.)])[ \t]*$`), // an item without text in an item
}

// rowCells returns the number of cells of s as a row of a table.
func rowCells(s []byte) int {
	var r rowCounter
	r.feed(s)
	return r.cells()
}

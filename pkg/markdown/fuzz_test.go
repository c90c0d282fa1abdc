package markdown

import (
	"bytes"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// smallSizes brings the edges of the window into reach of short inputs.
var smallSizes = sizes{window: 128, line: 40, piece: 16, paragraph: 32}

// FuzzScanner checks that the pieces of any document follow one another
// without a gap, that their borders make sense, and that it does not matter
// how the reader delivers the document.
func FuzzScanner(f *testing.F) {
	for _, src := range corpus(f) {
		if len(src) < 4<<10 {
			f.Add(src)
		}
	}
	for _, src := range []string{
		"", "\n", "\r", "\r\n\r\n", "\uFEFF# a\r\rb\r\n", "---\na: b\n---\n# c\n", "---\nfoo\n---\n",
		"a\n===\n\nb\n---\nc | d\n--|--\ne | f\n", "[a]: b\n'c\nd'\n[e]: <f>\n===\n", "```\n\n~~~\n``\n````\n",
		"- a\n\n  b\n+ c\n 1. d\n10) e\n", "> a\nb\n>> c\n\n> d", "<!-- a\n\n--> b\n<div>\n\n<x>\n", "\ta\n\n    b\n  c\n",
		strings.Repeat(">", 100) + "a\n" + strings.Repeat("- ", 60) + "b\n", "a\x80\xff" + strings.Repeat("é", 99) + "\n|a|\n|-|\n",
		"# a\n" + strings.Repeat(" ", 50) + "b\n|a|\n|-|\n" + strings.Repeat("\t", 50) + "\n",
		strings.Repeat("[a]: b\n", 9), "<pre>\n" + strings.Repeat("x", 36) + "</pre>\na\n", "> [a]: b\n> ===\nc\n",
	} {
		f.Add([]byte(src))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		for _, sz := range []sizes{defaultSizes, smallSizes} {
			want := pieces(t, bytes.NewReader(src), sz)
			checkPieces(t, src, sz, want)
			got := pieces(t, iotest.OneByteReader(bytes.NewReader(src)), sz)
			if !reflect.DeepEqual(want, got) {
				t.Fatalf("read byte by byte (-whole +bytes)\n%s", cmp.Diff(want, got))
			}
		}
	})
}

func pieces(t *testing.T, r io.Reader, sz sizes) []Piece {
	var all []Piece
	for p, err := range scan(r, sz) {
		if err != nil {
			t.Fatal(err)
		}
		p.Text = bytes.Clone(p.Text)
		all = append(all, p)
	}
	return all
}

func checkPieces(t *testing.T, src []byte, sz sizes, all []Piece) {
	_, body := FrontMatter(src[:min(len(src), sz.window)])
	at, kind := int64(body), KindNone
	for i, p := range all {
		switch {
		case p.Start != at || len(p.Text) == 0 || len(p.Text) > sz.piece:
			t.Fatalf("piece %d is at %d, %d bytes long, behind byte %d", i, p.Start, len(p.Text), at)
		case !bytes.Equal(p.Text, src[p.Start:p.End()]):
			t.Fatalf("piece %d is %q, the source there is %q", i, p.Text, src[p.Start:p.End()])
		case p.Border != AtBlock && p.Kind != kind:
			t.Fatalf("piece %d turns kind %d into %d", i, kind, p.Kind)
		case p.Border == AtPart && p.Kind != KindList && p.Kind != KindTable:
			t.Fatalf("piece %d is a part of kind %d", i, p.Kind)
		case (p.Heading != nil) != (p.Kind == KindHeading && p.Border == AtBlock):
			t.Fatalf("piece %d of kind %d at border %d has heading %v", i, p.Kind, p.Border, p.Heading)
		case p.Border == AtBlock && (p.Blank || p.Kind == KindNone):
			t.Fatalf("piece %d is a block of kind %d, blank %t", i, p.Kind, p.Blank)
		}
		at, kind = p.End(), p.Kind
	}
	if at != int64(len(src)) {
		t.Fatalf("pieces end at %d of %d", at, len(src))
	}
}

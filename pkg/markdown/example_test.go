package markdown_test

import (
	"fmt"
	"strings"

	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// Scan yields lines; BoundaryBlock marks the first line of each block.
func ExampleScan() {
	const source = "# Stones\n\nDress them\neach spring.\n\n- bill\n- thrift\n"
	for piece, err := range markdown.Scan(strings.NewReader(source), markdown.Options{}) {
		switch {
		case err != nil:
			fmt.Println(err)
			return
		case piece.Heading != nil:
			fmt.Printf("byte %d: heading of level %d: %s\n", piece.Start, piece.Heading.Level, piece.Heading.Text)
		case piece.Boundary == markdown.BoundaryBlock:
			fmt.Printf("byte %d: block, list: %t\n", piece.Start, piece.Kind == markdown.KindList)
		}
	}
	// Output:
	// byte 0: heading of level 1: Stones
	// byte 10: block, list: false
	// byte 35: block, list: true
}

func ExampleParseFrontMatter() {
	const source = "---\ntitle: Stones\ndressed: 2031-02-03\n---\nDress them each spring.\n"
	front, text := markdown.ParseFrontMatter([]byte(source))
	if front.Err != nil {
		fmt.Println(front.Err)
		return
	}
	fmt.Println(front.Title)
	fmt.Println(string(front.Metadata))
	fmt.Print(source[text:])
	// Output:
	// Stones
	// {"dressed":"2031-02-03","title":"Stones"}
	// Dress them each spring.
}

func ExamplePlainText() {
	fmt.Println(markdown.PlainText("**Install** the [mill](https://example.com) &amp; `v2` {#install}"))
	// Output: Install the mill & v2
}

func ExampleFirstHeading() {
	fmt.Println(markdown.FirstHeading([]byte("Some text.\n\n## The *stones*\n"), markdown.SyntaxCommonMark))
	// Output: The stones
}

func ExampleSyntaxOf() {
	fmt.Println(markdown.SyntaxOf("text/plain; charset=utf-8", "notes.txt") == markdown.SyntaxPlain)
	fmt.Println(markdown.SyntaxOf("text/markdown", "guide/start.mdx") == markdown.SyntaxMDX)
	// Output:
	// true
	// true
}

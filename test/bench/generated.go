package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
)

// generatedDocument is a markdown document that is generated while it is read: sections of several
// levels with paragraphs in two scripts, lists, code and tables, short and long. Documents of the
// same size are equal. No two passages of a document are equal.
type generatedDocument struct {
	remaining int64 // bytes that have not been read
	random    *rand.Rand
	section   int
	buffer    bytes.Buffer
}

func newGeneratedDocument(size int64) io.Reader {
	return &generatedDocument{remaining: size, random: rand.New(rand.NewPCG(1, 2))}
}

// Read implements io.Reader.
func (g *generatedDocument) Read(p []byte) (int, error) {
	if g.remaining == 0 {
		return 0, io.EOF
	}
	if g.buffer.Len() == 0 {
		g.write()
		if over := int64(g.buffer.Len()) - g.remaining; over > 0 {
			// Fills the rest with line breaks, because cutting the section could split a character.
			g.buffer.Reset()
			g.buffer.Write(bytes.Repeat([]byte("\n"), int(g.remaining)))
		}
	}
	n, err := g.buffer.Read(p)
	g.remaining -= int64(n)
	return n, err
}

// write writes a section to the buffer.
func (g *generatedDocument) write() {
	g.section++
	fmt.Fprintf(&g.buffer, "%.*s Section %d\n\n", 1+g.random.IntN(4), "####", g.section)
	for range 1 + g.random.IntN(4) {
		switch g.random.IntN(6) {
		case 0, 1:
			g.lines("", "The mill turns the grain of lot %d into flour, and the miller writes %d sacks into the book. ", 2+g.random.IntN(12))
		case 2:
			g.lines("", "水磨把第%d批谷物磨成面粉，磨坊主在账本上写下%d袋。", 2+g.random.IntN(12))
		case 3:
			g.lines("", "- lot %d of the harvest gave %d sacks\n", 1+g.random.IntN(40))
		case 4:
			g.lines("```go\n", "\tmill.Grind(lot[%d], Sacks(%d)) // in order\n", 1+g.random.IntN(60))
			g.buffer.WriteString("```\n")
		case 5:
			g.lines("| lot | sacks |\n| --- | --- |\n", "| %d | %d |\n", 1+g.random.IntN(120))
		}
		g.buffer.WriteString("\n")
	}
}

// lines writes before, then n lines or sentences with two numbers each.
func (g *generatedDocument) lines(before, format string, n int) {
	g.buffer.WriteString(before)
	for range n {
		fmt.Fprintf(&g.buffer, format, g.random.IntN(1_000_000), g.random.IntN(1000))
	}
	if before == "" {
		g.buffer.WriteString("\n")
	}
}

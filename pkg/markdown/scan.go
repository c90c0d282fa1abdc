package markdown

import (
	"bufio"
	"bytes"
	"io"
	"iter"
)

// Scan yields the pieces of the document that r reads.
func Scan(r io.Reader) iter.Seq2[Piece, error] {
	return func(yield func(Piece, error) bool) {
		br := bufio.NewReader(r)
		var at int64
		border := AtBlock
		for {
			line, err := br.ReadBytes('\n')
			if len(line) > 0 {
				blank := len(bytes.TrimSpace(line)) == 0
				if blank {
					border = AtLine
				}
				if !yield(Piece{Kind: KindParagraph, Border: border, Blank: blank, Start: at, Text: line}, nil) {
					return
				}
				border = AtLine
				if blank {
					border = AtBlock
				}
				at += int64(len(line))
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(Piece{}, err)
				return
			}
		}
	}
}

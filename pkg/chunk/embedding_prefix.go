package chunk

import (
	"slices"
	"strings"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// embeddingPrefix returns what is embedded before the content of a passage that is under the
// headings and begins with line l: title, heading path and context. It has at most half of the
// tokens of a passage. The middle of a longer path is removed, and the columns of a wider table
// that do not fit.
//
// tokens is the number of tokens to reserve for the prefix. The reservation also holds if the
// passage turns out to be under fewer of the headings.
func (p *packer) embeddingPrefix(headings []markdown.Heading, l line) (text document.PassageText, tokens int) {
	path := make([]string, 0, len(headings)+1)
	for _, h := range headings {
		if h.Text != "" {
			path = append(path, h.Text)
		}
	}
	titled := p.title != "" && (len(path) == 0 || !strings.EqualFold(path[0], p.title))
	if titled {
		path = slices.Insert(path, 0, p.title)
	}
	setPath := func(path []string) {
		text.Title, text.HeadingPath = "", path
		if titled && len(path) > 0 {
			text.Title, text.HeadingPath = path[0], path[1:]
		}
	}
	setPath(path)
	text.Context = l.table.context(l.start)
	half := p.opt.Tokens / 2
	if tokens = p.count(text.EmbeddingPrefix()); tokens <= half {
		return text, tokens
	}
	setPath(p.shortenPath(path, half))
	if text.Context != "" && p.count(text.EmbeddingPrefix()) > half {
		text.Context = l.table.columnsFrom(l.skippedCells, func(columns string) bool {
			text.Context = columns
			return p.count(text.EmbeddingPrefix()) <= half
		})
	}
	return text, half
}

// shortenPath returns the path if it has at most the given number of tokens. Otherwise it replaces
// the middle by an ellipsis: first headings, then text inside headings. The result is empty if
// nothing fits.
func (p *packer) shortenPath(path []string, tokens int) []string {
	fits := func(path []string) bool {
		return p.count(document.PassageText{HeadingPath: path}.EmbeddingPrefix()) <= tokens
	}
	if len(path) == 0 || fits(path) {
		return path
	}
	for keep := len(path) - 1; keep >= 2; keep-- {
		short := slices.Concat(path[:keep/2], []string{document.Ellipsis}, path[len(path)-(keep+1)/2:])
		if fits(short) {
			return short
		}
	}
	outermost, innermost := path[0], path[len(path)-1]
	for n := max(len(outermost), len(innermost)) * 3 / 4; n >= 8; n = n * 3 / 4 {
		short := []string{document.CutMiddle(outermost, n), document.Ellipsis, document.CutMiddle(innermost, n)}
		switch len(path) {
		case 1:
			short = short[:1]
		case 2:
			short = slices.Delete(short, 1, 2)
		}
		if fits(short) {
			return short
		}
	}
	return path[:0]
}

// contentTokensFrom returns the maximum number of tokens of the content of a passage that begins
// with line i.
func (p *packer) contentTokensFrom(i int) int {
	_, tokens := p.embeddingPrefix(p.headingsAt(i), p.lines[i])
	return p.opt.Tokens - tokens
}

// headingsAt returns the headings that enclose the first line, from line i on, that is not part of
// a module.
func (p *packer) headingsAt(i int) []markdown.Heading {
	path := p.path
	for _, l := range p.lines[:min(p.skipModules(i)+1, len(p.lines))] {
		if l.heading != nil {
			path = pathUnder(path, *l.heading)
		}
	}
	return path
}

// skipModules returns the first line, from line i on, that is not part of a module.
func (p *packer) skipModules(i int) int {
	for i < len(p.lines) && p.lines[i].kind == markdown.KindModule {
		i++
	}
	return i
}

// pathUnder returns the path of text under heading h, where path is the path of the text before h.
// It returns a copy, because passages share paths.
func pathUnder(path []markdown.Heading, h markdown.Heading) []markdown.Heading {
	n := len(path)
	for n > 0 && path[n-1].Level >= h.Level {
		n--
	}
	return append(path[:n:n], h)
}

package markdown

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// HeadSize is the number of bytes of a document that [ParseFrontMatter] needs. Front matter that
// does not end within them is text.
const HeadSize = 64 << 10

const byteOrderMark = "\uFEFF"

func trimByteOrderMark(s []byte) []byte { return bytes.TrimPrefix(s, []byte(byteOrderMark)) }

// FrontMatter is the front matter of a document.
type FrontMatter struct {
	// Start and End are its byte range, including the lines that enclose it. End is 0 if the
	// document has nothing that looks like front matter.
	Start, End int

	Title    string          // as written; empty for none
	Metadata json.RawMessage // a canonical JSON object; nil if there is none or it cannot be read

	// Err says why text that looks like front matter cannot be read. It names the line of the
	// document. The text is then part of the document.
	Err error

	// IsParagraph says that the front matter is a paragraph of the document: it has an end but
	// cannot be read, or it can be read and the document has no other text. A document without text
	// could not be found by a search.
	IsParagraph bool
}

// ParseFrontMatter reads the front matter at the beginning of a document, after a byte order mark
// if there is one: YAML between a line `---` and a line `---` or `...`, or TOML between lines
// `+++`. It returns the offset at which the text begins. head is the first [HeadSize] bytes of the
// document, or all of a shorter one.
//
// `---` may also be a thematic break. So it begins front matter only if the next line that is not
// blank and not a comment looks like the key of a mapping. Front matter that cannot be read is
// text. If it has an end, it is one paragraph, so that its lines do not become a heading; otherwise
// it is parsed as CommonMark.
func ParseFrontMatter(head []byte) (front FrontMatter, text int) {
	head = head[:min(len(head), HeadSize)]
	mark := len(head) - len(trimByteOrderMark(head))
	format, matter, end := cutFrontMatter(head[mark:])
	if format == nil {
		return FrontMatter{}, mark
	}
	front = FrontMatter{Start: mark, End: mark + end}
	if matter == nil {
		front.Err = fmt.Errorf("it has no closing line %s within the first %d KiB", format.fence, HeadSize>>10)
		return front, mark
	}
	front.Title, front.Metadata, front.Err = format.read(matter)
	alone := len(head) < HeadSize && len(bytes.TrimSpace(head[front.End:])) == 0
	if front.IsParagraph = front.Err != nil || alone; front.IsParagraph {
		return front, mark
	}
	return front, front.End
}

// frontMatterFormat is a notation of front matter.
type frontMatterFormat struct {
	fence     string
	closers   []string // lines that close it
	begins    func(line []byte) bool
	continues func(line []byte) bool
	decode    func(matter []byte) (map[string]any, error)
}

var frontMatterFormats = []*frontMatterFormat{
	{"---", []string{"---", "..."}, isYAMLKey, continuesYAML, decodeYAML},
	{"+++", []string{"+++"}, beginsTOML, beginsTOML, decodeTOML},
}

// cutFrontMatter returns the format of the front matter at the beginning of text, the bytes between
// its fences, and its end offset. If it is not closed, matter is nil, and end is the end of the
// lines that look like front matter. f is nil if there is no front matter.
func cutFrontMatter(text []byte) (f *frontMatterFormat, matter []byte, end int) {
	line, rest := cutLine(text)
	i := slices.IndexFunc(frontMatterFormats, func(f *frontMatterFormat) bool { return isFence(line, f.fence) })
	if i < 0 {
		return nil, nil, 0
	}
	f = frontMatterFormats[i]
	begun, alike := false, true
	for at := rest; len(at) > 0; {
		line, next := cutLine(at)
		switch blank := len(bytes.TrimSpace(line)) == 0; {
		case begun && isAnyFence(line, f.closers):
			return f, rest[:len(rest)-len(at)], len(text) - len(next)
		case !begun && isAnyFence(line, f.closers):
			return nil, nil, 0 // two thematic breaks without content
		case !begun && (blank || line[0] == '#'):
		case !begun && !f.begins(line):
			return nil, nil, 0
		default:
			begun = true
			alike = alike && !blank && (f.begins(line) || f.continues(line))
			if alike {
				end = len(text) - len(next)
			}
		}
		at = next
	}
	if !begun {
		return nil, nil, 0
	}
	return f, nil, end
}

// read decodes front matter into a title and metadata.
func (f *frontMatterFormat) read(matter []byte) (title string, metadata json.RawMessage, err error) {
	fields, err := f.decode(matter)
	if err != nil {
		return "", nil, err
	}
	raw, err := json.Marshal(fields)
	if err != nil {
		return "", nil, err
	}
	if metadata, err = document.CanonicalMetadata(raw); err != nil {
		return "", nil, err
	}
	switch value := fields["title"].(type) {
	case string:
		title = value
	case nil, map[string]any, []any:
	default:
		title = fmt.Sprint(value) // a number or a boolean, printed as it was written
	}
	return title, metadata, nil
}

// cutLine returns the first line of s, with its ending, and the rest.
func cutLine(s []byte) (line, rest []byte) {
	i := bytes.IndexAny(s, "\r\n")
	if i < 0 {
		return s, nil
	}
	if bytes.HasPrefix(s[i:], []byte("\r\n")) {
		i++
	}
	return s[:i+1], s[i+1:]
}

func isFence(line []byte, fence string) bool {
	return string(bytes.TrimRight(line, " \t\r\n")) == fence
}

func isAnyFence(line []byte, fences []string) bool {
	return slices.ContainsFunc(fences, func(fence string) bool { return isFence(line, fence) })
}

// isYAMLKey reports whether the line looks like an entry of a block mapping.
func isYAMLKey(line []byte) bool {
	i := bytes.IndexByte(line, ':')
	return i > 0 && mayBeginKey(line[0]) && (i+1 == len(line) || bytes.IndexByte([]byte(" \t\r\n"), line[i+1]) >= 0)
}

func mayBeginKey(c byte) bool {
	return isLetter(c) || '0' <= c && c <= '9' || c >= 0x80 || bytes.IndexByte([]byte(`_"'$./@`), c) >= 0
}

// continuesYAML reports whether the line may continue the value before it: it is indented, an item
// of a list, a closing bracket or a comment.
func continuesYAML(line []byte) bool {
	return bytes.IndexByte([]byte(" \t-]}#"), line[0]) >= 0
}

// beginsTOML reports whether the line may be TOML. The test is loose, because `+++` has no meaning
// in CommonMark.
func beginsTOML(line []byte) bool {
	return bytes.IndexByte(line, '=') > 0 || bytes.IndexByte([]byte(" \t[]}#\"'"), line[0]) >= 0
}

// FirstHeading returns the text of the first top-level heading in head, the beginning of a
// document, or "".
func FirstHeading(head []byte, syntax Syntax) string {
	for piece, err := range Scan(bytes.NewReader(head), Options{Syntax: syntax}) {
		if err == nil && piece.Heading != nil && piece.Heading.Text != "" {
			return piece.Heading.Text
		}
	}
	return ""
}

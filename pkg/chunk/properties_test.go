package chunk

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// split returns the passages of src after checking their properties.
func split(t *testing.T, src string, opt Options) []Passage {
	t.Helper()
	all := collect(t, bytes.NewReader([]byte(src)), opt)
	checkProperties(t, src, opt, all)
	return all
}

func collect(t *testing.T, r io.Reader, opt Options) []Passage {
	t.Helper()
	var all []Passage
	for p, err := range Split(r, opt) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// checkProperties checks what Split promises for every document.
func checkProperties(t *testing.T, src string, opt Options, all []Passage) {
	t.Helper()
	count, quick, limit := opt.Count, opt.Count, opt.Tokens
	if count == nil {
		count, quick = tokenizerCount, countTokens // the library, and the fast count that equals it
	}
	if limit == 0 {
		limit = defaultTokens
	}
	_, at := markdown.ParseFrontMatter([]byte(src[:min(len(src), markdown.HeadSize)]))
	if opt.Syntax == markdown.SyntaxPlain || isBlank(src[at:]) || opt.Window > 0 {
		at = len(src) - len(strings.TrimPrefix(src, "\uFEFF"))
	}
	if len(all) > 0 && opt.Window > 0 && opt.Syntax != markdown.SyntaxPlain { // front matter must end within the window
		if front, body := markdown.ParseFrontMatter([]byte(src[:min(len(src), opt.Window+64)])); front.End > 0 && all[0].Start >= int64(body) {
			at = body
		}
	}
	for i, p := range all {
		switch {
		case p.Ordinal != i:
			t.Fatalf("passage %d has ordinal %d", i, p.Ordinal)
		case p.Start < 0 || p.Start >= p.End || p.End > int64(len(src)) || p.Content != src[p.Start:p.End]:
			t.Fatalf("passage %d is not source[%d:%d]: %q", i, p.Start, p.End, p.Content)
		case p.End <= int64(at):
			t.Fatalf("passage %d ends at %d, not after the one before it, which ends at %d", i, p.End, at)
		case p.Start < int64(at) && count(src[p.Start:at]) > opt.Overlap:
			t.Fatalf("passage %d repeats %q, more than the overlap", i, src[p.Start:at])
		case p.Start > int64(at) && !isBlank(src[at:p.Start]):
			t.Fatalf("no passage before passage %d contains %q", i, src[at:p.Start])
		case isBlank(p.Content):
			t.Fatalf("passage %d is white space", i)
		case len(p.Content)-omittedBytes(p) > maxTokenBytes*limit || omittedBytes(p) > maxOmitted:
			t.Fatalf("passage %d is too large: %d bytes, %d of them omitted", i, len(p.Content), omittedBytes(p))
		case p.Tokens != count(p.VisibleContent()):
			t.Fatalf("passage %d has %d tokens, but says %d: %q", i, count(p.VisibleContent()), p.Tokens, p.Content)
		case quick(p.EmbeddingInput()) > limit && utf8.RuneCountInString(p.VisibleContent()) > 1:
			t.Fatalf("passage %d embeds %d tokens, more than %d: %q", i, count(p.EmbeddingInput()), limit, p.EmbeddingInput())
		case quick(p.EmbeddingPrefix()) > limit/2 && p.EmbeddingPrefix() != "":
			t.Fatalf("passage %d embeds %d tokens before its content, more than %d: %q", i, count(p.EmbeddingPrefix()), limit/2, p.EmbeddingPrefix())
		}
		for _, r := range p.Omitted {
			if r.Start < 0 || r.Start >= r.End || r.End > len(p.Content) {
				t.Fatalf("passage %d of %d bytes has invalid omitted ranges: %v", i, len(p.Content), p.Omitted)
			}
		}
		for j, h := range p.Headings {
			// A heading in HTML may follow other tags on its line.
			if h.Start > p.Start && strings.ContainsAny(src[p.Start:h.Start], "\r\n") && i > 0 && opt.Overlap == 0 || j > 0 && h.Level <= p.Headings[j-1].Level {
				t.Fatalf("passage %d, from byte %d, has wrong headings: %v", i, p.Start, p.Headings)
			}
		}
		at = int(p.End)
	}
	if !isBlank(src[at:]) {
		t.Fatalf("no passage contains the end of the document: %q", src[at:])
	}
}

// omittedBytes returns the number of omitted bytes of the content.
func omittedBytes(p Passage) int {
	n := 0
	for _, r := range p.Omitted {
		n += r.End - r.Start
	}
	return n
}

func isBlank(s string) bool { return len(bytes.TrimSpace([]byte(s))) == 0 }

// FuzzSplit checks the properties of any document, and that passages do not depend on the sizes of
// reads.
func FuzzSplit(f *testing.F) {
	for _, src := range corpus(f) {
		if len(src) < 6<<10 {
			f.Add(src, uint8(60), uint8(10), uint8(0), uint8(0), "")
		}
	}
	for _, src := range seeds {
		f.Add(src, uint8(8), uint8(2), uint8(16), uint8(0), "a")
		f.Add(src, uint8(1), uint8(0), uint8(0), uint8(2), "")
		f.Add(src, uint8(40), uint8(0), uint8(200), uint8(1), "A title of words")
	}
	f.Fuzz(func(t *testing.T, src string, tokens, overlap, window, syntax uint8, title string) {
		if len(src) > 32<<10 {
			return // other tests split large inputs
		}
		opt := Options{
			Tokens: 1 + int(tokens), Overlap: int(overlap), Window: int(window),
			Syntax: markdown.Syntax(syntax % 3), Title: title,
		}
		want := split(t, src, opt)
		got := collect(t, iotest.OneByteReader(bytes.NewReader([]byte(src))), opt)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("passages differ if read byte by byte (-all at once +byte by byte)\n%s", diff)
		}
	})
}

package markdown

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	cmpdiff "github.com/google/go-cmp/cmp"
)

// TestFrontMatterBoundaries checks where front matter begins and ends, and which text is not front
// matter.
func TestFrontMatterBoundaries(t *testing.T) {
	t.Parallel()
	long := "---\na: |\n" + strings.Repeat("  b\n", HeadSize/4)
	for _, tt := range []struct {
		name, head string
		start, end int
		text       int
		err        string
	}{
		{"none", "# a\n", 0, 0, 0, ""},
		{"a mapping", "---\na: b\n---\nc\n", 0, 13, 13, ""},
		{"closed by dots, Windows line endings", "---\r\na: b\r\n...\r\nc\r\n", 0, 16, 16, ""},
		{"old Mac line endings", "---\ra: b\r---\rc", 0, 13, 13, ""},
		{"after a byte order mark", "\uFEFF---\na: b\n---\nc", 3, 16, 16, ""},
		{"lines that YAML may have", "--- \n# why\n\n\"a\": |\n  b\n\n  c\nd:\n- e\n- f: {\n}\n---\t\nx", 0, 49, 49, ""},
		{"keys that are not words", "---\n$schema: a\n/b: c\n\u00e4: d\n2031: e\n---\nx", 0, 39, 39, ""},
		{"closed at the end of the last of HeadSize bytes", "---\na: |\n" + strings.Repeat(" ", HeadSize-13) + "\n---\nx", 0, HeadSize, HeadSize, ""},
		{"TOML", "+++\na = 1\n+++\nc", 0, 14, 14, ""},
		{"TOML after a byte order mark, Windows line endings", "\uFEFF+++\r\n\r\n# why\r\n[a.b]\r\nc = 1\r\n+++\r\nd", 3, 36, 36, ""},

		{"only a byte order mark", "\uFEFF", 0, 0, 3, ""},
		{"two thematic breaks", "---\n---\nx", 0, 0, 0, ""},
		{"a thematic break and a heading", "---\nfoo\n---\n", 0, 0, 0, ""},
		{"a thematic break and a list", "---\n- foo: a\n---\n", 0, 0, 0, ""},
		{"a thematic break and a comment", "---\n# foo\n---\n", 0, 0, 0, ""},
		{"a thematic break and prose", "---\nOnce upon a time\nthere was: it\n\n---\n", 0, 0, 0, ""},
		{"not at the first byte", "\n---\na: b\n---\n", 0, 0, 0, ""},
		{"four dashes", "----\na: b\n----\n", 0, 0, 0, ""},
		{"two lines of pluses", "+++\n+++\nx", 0, 0, 0, ""},
		{"prose between pluses", "+++\nprose\n+++\n", 0, 0, 0, ""},
		{"JSON", "{\"title\": \"a\"}\n\ntext", 0, 0, 0, ""},

		{"prose that begins like YAML", "---\nNote: this\nis a paragraph\n---\n", 0, 34, 0, "line 3: could not find expected ':'"},
		{"a colon in a value", "\uFEFF---\r\ntitle: Milling: a guide\r\n---\r\nx", 3, 38, 3, "line 2: mapping values are not allowed in this context"},
		{"a key twice", "---\na: 1\nb: 2\na: 3\n---\nx", 0, 23, 0, `line 4: mapping key "a" already defined at line 2`},
		{"a key twice, deep", "---\na:\n- {b: 1, b: 2}\n---\nx", 0, 26, 0, `line 3: mapping key "b" already defined at line 3`},
		{"a tab", "---\na: b\n\tc: d\n---\nx", 0, 19, 0, "line 2: found a tab character that violates indentation"},
		{"a key that is a list", "---\na: b\n[c]: d\n---\nx", 0, 20, 0, "line 3: a key is not a string"},
		{"an unknown anchor", "---\na: *b\n---\nx", 0, 14, 0, "unknown anchor 'b' referenced"},
		{"two documents", "---\na: b\n--- |\n  c\n---\nx", 0, 23, 0, "it is more than one YAML document"},
		{"an invalid escape", "---\na: \"\\q\"\n---\nx", 0, 16, 0, "line 2: found unknown escape character"},
		{"a NUL", "---\na: \"\\0\"\n---\nx", 0, 16, 0, "metadata has a NUL character (at offset 4)"},
		{"too deep", "---\na: " + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "\n---\nx", 0, 92, 0, "metadata nests deeper than 32 levels (at offset 36)"},
		{"never closed", "---\na: b\nc:\n  - d\n\n# Text\n", 0, 18, 0, "it has no closing line --- within the first 64 KiB"},
		{"too long", long + "---\n", 0, HeadSize, 0, "it has no closing line --- within the first 64 KiB"},
		{"TOML without a value", "+++\na =\n+++\nx", 0, 12, 0, "line 2: unexpected character U+000A at start of value"},
		{"a TOML key twice", "+++\na = 1\nb = 1\na = 1.50\n+++\nx", 0, 29, 0, "line 4: key a is already defined"},
		{"TOML never closed", "+++\na = 1\n\ntext\n", 0, 10, 0, "it has no closing line +++ within the first 64 KiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			front, text := ParseFrontMatter([]byte(tt.head))
			if front.Start != tt.start || front.End != tt.end || text != tt.text {
				t.Errorf("got bytes %d to %d and text from %d, want %d to %d and %d", front.Start, front.End, text, tt.start, tt.end, tt.text)
			}
			if got := fmt.Sprint(cmp.Or(front.Err, errors.New(""))); got != tt.err {
				t.Errorf("got error %q, want %q", got, tt.err)
			}
			if (front.Metadata != nil) != (front.End > 0 && tt.err == "") {
				t.Errorf("got metadata %s, want some only if the front matter can be read", front.Metadata)
			}
		})
	}
}

// TestFrontMatterBoundsAliases parses a few bytes whose aliases would expand to more than the
// memory holds. They must be refused.
func TestFrontMatterBoundsAliases(t *testing.T) {
	t.Parallel()
	bomb := "---\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 12; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s*a%d]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9), i-1)
	}
	front, text := ParseFrontMatter([]byte(bomb + "---\nx"))
	if front.Err == nil || text != 0 {
		t.Errorf("got metadata of %d bytes and text from %d, want an error and text from 0", len(front.Metadata), text)
	}
}

// FuzzFrontMatter checks that any front matter is read or refused, and never lost: it is metadata
// or text.
func FuzzFrontMatter(f *testing.F) {
	for _, matter := range []string{"a: 01\nb: &x [1.10, {c: *x}]\n<<: *x\n", "a = 01:02:03\n[b.\"c\"]\nd = [{e = 1_0}]\n", "? a\n: |\n  b\n", "a: !!binary \"\\0\"\n"} {
		f.Add("---\n", matter)
		f.Add("+++\n", matter)
	}
	f.Fuzz(func(t *testing.T, fence, matter string) {
		src := []byte(fence + matter + "\n" + fence + "text")
		front, text := ParseFrontMatter(src)
		if front.Err == nil && front.End > 0 && !json.Valid(front.Metadata) {
			t.Errorf("metadata is not JSON: %q", front.Metadata)
		}
		if text > 3 && (front.Err != nil || text != front.End) {
			t.Errorf("the text begins at %d, but the front matter is %+v", text, front)
		}
	})
}

func TestFrontMatterKeepsText(t *testing.T) {
	t.Parallel()
	for head, want := range map[string]string{
		"---\na: [01234, 1.10, 2031-02-03, 2031-02-03T04:05:06Z, 12:30, 1e3, 0x1F, 0o17, 1_000, +5, 1.0, .5, .inf, 123456789012345678901234567890]\n---\nx": `{"a":["01234","1.10","2031-02-03","2031-02-03T04:05:06Z","12:30","1e3","0x1F","0o17","1_000","+5","1.0",".5",".inf","123456789012345678901234567890"]}`,
		"---\na: [0, 42, -5, 1.5, 18446744073709551615, true, False, null, ~, '5', yes, no, NO, off]\nb:\n---\nx":                                           `{"a":[0,42,-5,1.5,18446744073709551615,true,false,null,null,"5","yes","no","NO","off"],"b":null}`,
		"---\n1: a\n1.10: b\ntrue: c\n2031-02-03: d\n---\nx":                                                                                                `{"1":"a","1.10":"b","2031-02-03":"d","true":"c"}`,
		"---\na: &b {c: 01}\nd: *b\ne:\n  <<: *b\n  f: 1\n---\nx":                                                                                           `{"a":{"c":"01"},"d":{"c":"01"},"e":{"c":"01","f":1}}`,
		"---\na: !!binary aGk=\nb: !c d\ne: |\n  f\n---\nx":                                                                                                 `{"a":"aGk=","b":"d","e":"f\n"}`,
		"+++\na = [01:02:03, 2031-02-03, 2031-02-03 04:05:06, 1979-05-27T00:32:00.500-07:00, 1.10, 1e3, 0x1F, 1_000, inf]\n+++\nx":                          `{"a":["01:02:03","2031-02-03","2031-02-03 04:05:06","1979-05-27T00:32:00.500-07:00","1.10","1e3","0x1F","1_000","inf"]}`,
		"+++\na = [42, 1.5, true, \"5\"]\n[b.\"c d\"]\ne = {f = 1.50}\n[[g]]\nh = 1\n[[g]]\n+++\nx":                                                         `{"a":[42,1.5,true,"5"],"b":{"c d":{"e":{"f":"1.50"}}},"g":[{"h":1},{}]}`,
	} {
		front, _ := ParseFrontMatter([]byte(head))
		if front.Err != nil || string(front.Metadata) != want {
			t.Errorf("%q: got %s, %v, want %s", head, front.Metadata, front.Err, want)
		}
	}
}

func TestFrontMatterTitle(t *testing.T) {
	t.Parallel()
	for matter, want := range map[string]string{
		"title: a":          "a",
		"title: 2031":       "2031",
		"title: 1.10":       "1.10",
		"title: 2031-02-03": "2031-02-03",
		"title: true":       "true",
		"title:":            "",
		"title: [a]":        "",
		"Title: a":          "",
	} {
		if front, _ := ParseFrontMatter([]byte("---\n" + matter + "\n---\nx")); front.Title != want || front.Err != nil {
			t.Errorf("%s: got %q, %v, want %q", matter, front.Title, front.Err, want)
		}
	}
	if front, _ := ParseFrontMatter([]byte("+++\ntitle = 2031-02-03\n+++\n")); front.Title != "2031-02-03" {
		t.Errorf("TOML: got %q", front.Title)
	}
}

// TestScanFrontMatterAsText checks that front matter without text after it, or that cannot be read,
// is a paragraph, and that the text after it is scanned.
func TestScanFrontMatterAsText(t *testing.T) {
	t.Parallel()
	for head, want := range map[string][]string{
		"\uFEFF---\ntitle: a\n\nb: c\n---\n \n":  {"---\n", "title: a\n", "\n", "b: c\n", "---\n", " \n"},
		"---\ntitle: a: b\n---\n# c\n":           {"---\n", "title: a: b\n", "---\n", "# c\n"},
		"+++\r\na = \r\n+++\r\n    d\r\n# e\r\n": {"+++\r\n", "a = \r\n", "+++\r\n", "    d\r\n", "# e\r\n"},
	} {
		var got []string
		for piece, err := range Scan(strings.NewReader(head), Options{}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(piece.Text))
			if piece.Heading != nil && piece.Text[0] != '#' {
				t.Errorf("%q: %q is a heading, want a paragraph", head, piece.Text)
			}
		}
		if diff := cmpdiff.Diff(want, got); diff != "" {
			t.Errorf("%q: lines (-want +got):\n%s", head, diff)
		}
	}
}

func TestFirstHeading(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ head, want string }{
		{"", ""},
		{"text\n", ""},
		{"---\ntitle: no: no\n---\n# Yes\n", "Yes"},
		{"---\ntitle: no\n---\n\n> # no\n\n```\n# no\n```\n#\n\n## Yes `sir` ##\n# no\n", "Yes sir"},
		{"\uFEFFA title\n of two lines\n===\n", "A title of two lines"},
		{"# " + strings.Repeat("é", 200), strings.Repeat("é", 83) + " … " + strings.Repeat("é", 42)},
	} {
		if got := FirstHeading([]byte(tt.head), SyntaxCommonMark); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.head, got, tt.want)
		}
	}
}

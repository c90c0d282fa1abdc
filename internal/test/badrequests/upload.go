package badrequests

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

func isPut(_ *generator, o operation) bool { return o.takesDocument() }

func isForm(_ *generator, o operation) bool { return o.takesForm() }

func takesKey(_ *generator, o operation) bool {
	return slices.ContainsFunc(o.paramsIn("header"), func(p parameter) bool { return p.Name == "Idempotency-Key" })
}

// badNames are invalid keys, collections, titles and metadata.
var badNames = map[string][]string{
	"key":        {"", "..", "a/../b", "./a", "a\nb", "a\x00b", "\xff", "a\u0085b", strings.Repeat("k", 1025)},
	"collection": {"a/b", ".a", "-", "a b", "ü", strings.Repeat("c", 129), "\xff"},
	"title":      {"a\nb", "a\x7fb", strings.Repeat("t", 513), "\xc3\x28"},
	"metadata":   {"{", "[]", "7", "null", `{"a":}`, `{"a":1}{}`, `{"a":"\u0000"}`, `{"a":1e999}`, strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40), "\xff", `"{}"`},
}

// badDocuments are contents that are not text.
var badDocuments = []string{
	"", " \n\t\r\n", "grain \xff", "\xed\xa0\x80", "gra\x00in", "\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR", "%PDF-1.7\n1 0 obj\n", "\xff\xfeg\x00r\x00", "\xff\xd8\xff\xe0\x00\x10JFIF",
	"\x1f\x8b\x08\x00\x00\x00\x00\x00", "grain \xf0\x9f\x8c", strings.Repeat("grain\n", 20000) + "\xff",
}

// badName returns the name of a field and an invalid value for it.
func (g *generator) badName() (name, value string) {
	name = pick(g, []string{"key", "collection", "title", "metadata"})
	return name, pick(g, badNames[name])
}

// flawsOfUploads are flaws of documents and of the fields that describe them.
var flawsOfUploads = []flaw{
	{"no key", isPut, func(_ *generator, d *draft) { d.query = nil }},
	{"an invalid name", isPut, func(g *generator, d *draft) {
		name, value := g.badName()
		d.param(name, escape(value))
	}},
	{"a document that is not text", isPut, func(g *generator, d *draft) { d.content = []byte(pick(g, badDocuments)) }},
	{"a document with an unsupported Content-Encoding", isPut, func(g *generator, d *draft) {
		d.header = append(d.header, "Content-Encoding: "+pick(g, []string{"gzip", "br", "nonsense", "identity, gzip", "\xff"}))
	}},
	{"an invalid Idempotency-Key", takesKey, func(g *generator, d *draft) {
		d.header = append(d.header, pick(g, [][]string{
			{"Idempotency-Key:"}, {"Idempotency-Key: a\tb"}, {"Idempotency-Key: \xc3\x28"}, {"Idempotency-Key: grüße"}, {"Idempotency-Key: " + strings.Repeat("k", 256)},
			{"Idempotency-Key: a", "Idempotency-Key: a"},
		})...)
	}},
	{"an invalid form", isForm, func(g *generator, d *draft) {
		_, d.content = g.form(file("a.md", "# a"))
		d.media = pick(g, []string{
			"multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=another", "multipart/mixed; boundary=b", "application/json",
			"application/x-www-form-urlencoded", "text/markdown", ";", "multipart/form-data; boundary=\"", "\xff", "multipart/form-data; boundary=" + strings.Repeat("b", 5000),
		})
	}},
	{"a form with an invalid name", isForm, func(g *generator, d *draft) {
		name, value := g.badName()
		d.media, d.content = g.form(field("key", "a.md"), field(name, value), file("", "# a"))
	}},
	{"a form with a document that is not text", isForm, func(g *generator, d *draft) {
		d.media, d.content = g.form(file("a.md", pick(g, badDocuments)))
	}},
	{"a form with invalid parts", isForm, func(g *generator, d *draft) {
		d.media, d.content = g.form(pick(g, [][]string{
			{}, {field("key", "a.md")}, {field("nothing", "x"), file("a.md", "# a")}, {file("a.md", "# a"), field("title", "late")}, {file("\xff.md", "# a")}, {file("", "# a")},
			{field("metadata", strings.Repeat(" ", 64<<10+1)), file("a.md", "# a")}, {"\r\n# no header", file("a.md", "# a")},
			{"nonsense\r\n\r\n# a"}, {"Content-Disposition: form-data\r\n\r\nx", file("a.md", "# a")}, {"Content-Disposition: nonsense; name=file\r\n\r\n# a"},
			{"Content-Disposition: form-data; name=\"file\r\n\r\n# a"}, {strings.Repeat("X: y\r\n", 20000) + "\r\nx"},
		})...)
	}},
	{"a truncated form", isForm, func(g *generator, d *draft) {
		// Cuts before the last boundary, because what follows it is ignored.
		d.media, d.content = g.form(field("key", "a.md"), file("a.md", "# a"))
		d.content = d.content[:g.rand.IntN(bytes.LastIndex(d.content, []byte("--b-")))]
	}},
}

// form returns a form with the given parts, and its media type.
func (g *generator) form(parts ...string) (media string, content []byte) {
	boundary := fmt.Sprintf("b-%x", g.rand.Uint32())
	var b bytes.Buffer
	for _, part := range parts {
		fmt.Fprintf(&b, "--%s\r\n%s\r\n", boundary, part)
	}
	fmt.Fprintf(&b, "--%s--\r\n", boundary)
	return "multipart/form-data; boundary=" + boundary, b.Bytes()
}

func field(name, value string) string {
	return fmt.Sprintf("Content-Disposition: form-data; name=%q\r\n\r\n%s", name, value)
}

func file(name, content string) string {
	return "Content-Disposition: form-data; name=\"file\"; filename=\"" + name + "\"\r\n\r\n" + content
}

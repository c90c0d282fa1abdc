package ingest

import (
	"bytes"
	"net/http"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

// sniffBytes is the number of bytes from which the format is detected. http.DetectContentType uses as
// many.
const sniffBytes = 512

// format is a format that people upload by mistake for text.
type format struct {
	prefix string // first bytes of a document of the format
	name   string
	advice string
}

// binaryFormats are formats with bytes that text does not have. The prefix alone proves nothing: a
// text may begin with "BZh" or "PAR1" too.
var binaryFormats = []format{
	{"PK\x03\x04", "a zip archive", "unpack it and upload its text files"},
	{"\x1f\x8b", "compressed with gzip", "uncompress it first"},
	{"BZh", "compressed with bzip2", "uncompress it first"},
	{"\xfd7zXZ\x00", "compressed with xz", "uncompress it first"},
	{"\x28\xb5\x2f\xfd", "compressed with zstd", "uncompress it first"},
	{"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it and upload its text files"},
	{"Rar!\x1a\x07", "a RAR archive", "unpack it and upload its text files"},
	{"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a document of Word, Excel or PowerPoint", "convert it to markdown first, with pandoc for example"},
	{"SQLite format 3\x00", "an SQLite database", "export its text first"},
	{"PAR1", "a Parquet file", "export its text first"},
	{"bplist00", "a binary property list", "convert it to text first"},
	{"\x7fELF", "a program", "upload markdown or plain text"},
	{"MZ", "a program", "upload markdown or plain text"},
}

// zipFormats are recognised by the name and the content of the first file in a zip archive.
var zipFormats = []format{
	{"mimetypeapplication/epub+zip", "an EPUB", "convert it to markdown first, with pandoc for example"},
	{"mimetypeapplication/vnd.oasis.opendocument", "an OpenDocument file", "convert it to markdown first, with pandoc for example"},
	{"[Content_Types].xml", "an Office document (docx, xlsx or pptx)", "convert it to markdown first, with pandoc for example"},
	{"_rels/", "an Office document (docx, xlsx or pptx)", "convert it to markdown first, with pandoc for example"},
	{"word/", "an Office document (docx)", "convert it to markdown first, with pandoc for example"},
}

// textFormats are formats that consist of text characters.
var textFormats = []struct {
	pattern *regexp.Regexp // at the beginning, after white space and a byte order mark
	format
}{
	{regexp.MustCompile(`^\{\\rtf`), format{name: "RTF", advice: "convert it to markdown first, with pandoc for example"}},
	{regexp.MustCompile(`(?i)^(<!doctype html|<html)[\s>]`), format{name: "an HTML page", advice: "convert it to markdown first, with pandoc for example"}},
	{regexp.MustCompile(`^version https://(git-lfs|hawser)\.github\.com/spec/v\d+\r?\n(.*\n)*oid sha256:`),
		format{name: "a Git LFS pointer", advice: "run git lfs pull, and upload the file that it points to"}},
	// A line of only hyphens begins front matter.
	{regexp.MustCompile(`(?i)^--\S{0,70}[^\s-]\S{0,70}\r?\ncontent-(disposition|type|transfer-encoding):`),
		format{name: "a multipart form", advice: "send a form by POST with Content-Type multipart/form-data, or the document as it is by PUT"}},
	// The headers of a mail, or of a part of one. Its text is encoded, or one of several.
	{regexp.MustCompile(`(?i)^([\w-]+:.*\n([ \t].*\n)*)*(content-transfer-encoding:[ \t]*(base64|quoted-printable)|mime-version:[ \t]*1\.0[ \t]*\r?\n([\w-]+:.*\n([ \t].*\n)*)*content-type:[ \t]*multipart/)`),
		format{name: "a mail", advice: "decode it and send its text"}},
	{regexp.MustCompile(`(?i)^data:[a-z0-9.+-]+/[a-z0-9.+-]+(;[^,\s]*)?;base64,`),
		format{name: "a data: URI", advice: "send the bytes that it holds"}},
}

// urlEncodedForm matches the body of a form of type application/x-www-form-urlencoded.
var urlEncodedForm = regexp.MustCompile(`^[\w.~*-]+=[\w.~*+%&=-]*%[0-9A-Fa-f]{2}[\w.~*+%&=-]*$`)

// checkFormat returns fault.UnsupportedMediaType if the first bytes are those of a format that is not
// text, or that contains the text in another form. The declared media type says whether the body
// may be a form.
func checkFormat(first []byte, declared string) error {
	f, found := detectFormat(first)
	if !found && strings.HasPrefix(declared, "application/x-www-form-urlencoded") && urlEncodedForm.Match(first) {
		f, found = format{name: "a URL-encoded form", advice: "send the document as it is, with curl --data-binary @FILE for example"}, true
	}
	if !found {
		return nil
	}
	return fault.New(fault.UnsupportedMediaType, "the document is %s, not markdown or plain text: %s", f.name, f.advice)
}

func detectFormat(first []byte) (format, bool) {
	text := bytes.TrimLeft(bytes.TrimPrefix(first, []byte("\ufeff")), " \t\r\n")
	for _, f := range textFormats {
		if f.pattern.Match(text) {
			return f.format, true
		}
	}
	if bytes.HasPrefix(first, []byte("%PDF-")) {
		return format{name: "a PDF", advice: "extract its text first, with pdftotext for example"}, true
	}
	if bytes.IndexByte(first, 0) < 0 && isUTF8Prefix(first) {
		return format{}, false
	}
	for _, f := range binaryFormats {
		if bytes.HasPrefix(first, []byte(f.prefix)) {
			if inner, ok := detectZip(first); ok {
				return inner, true
			}
			return f, true
		}
	}
	kind, _, _ := strings.Cut(http.DetectContentType(first), ";")
	if strings.HasPrefix(kind, "text/") || kind == "application/octet-stream" {
		return format{}, false
	}
	return format{name: kind, advice: "upload its text"}, true
}

// detectZip returns the kind of document that a zip archive is. The name of the first file begins at
// byte 30; if the file is not compressed, its content follows.
func detectZip(first []byte) (format, bool) {
	if len(first) < 30 || !bytes.HasPrefix(first, []byte("PK\x03\x04")) {
		return format{}, false
	}
	for _, f := range zipFormats {
		if bytes.HasPrefix(first[30:], []byte(f.prefix)) {
			return f, true
		}
	}
	return format{}, false
}

// isUTF8Prefix reports whether b is valid UTF-8, except for an incomplete rune at its end.
func isUTF8Prefix(b []byte) bool {
	for i := 0; i < utf8.UTFMax && len(b) > 0 && !utf8.Valid(b); i++ {
		b = b[:len(b)-1]
	}
	return utf8.Valid(b)
}

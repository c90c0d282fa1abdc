package ingest_test

import (
	"encoding/binary"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// uploadBothWays uploads a document in one read and byte by byte, and returns the error, which must be
// the same. A refused upload must leave nothing behind.
func uploadBothWays(t *testing.T, request document.UploadRequest, body string) error {
	t.Helper()
	if request.Key == "" {
		request.Key = "k.md"
	}
	var err error
	for how, reader := range map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader,
	} {
		service, m := newService(t)
		_, got := service.Upload(tenantContext(t), request, reader(strings.NewReader(body)))
		if err != nil && (fault.As(got) == nil || fault.As(got).Detail != fault.As(err).Detail) {
			t.Errorf("%s: got error %v, want the same as the other way, %v", how, got, err)
		}
		err = got
		if err != nil && len(m.objects)+len(m.notes)+len(m.uploads)+m.collections != 0 {
			t.Errorf("%s: the refused upload left something behind", how)
		}
	}
	return err
}

func wantFault(t *testing.T, err error, kind fault.Kind, detail ...string) {
	t.Helper()
	f := fault.As(err)
	if f == nil || f.Kind != kind {
		t.Errorf("got error %v, want %s", err, kind)
		return
	}
	for _, part := range detail {
		if !strings.Contains(f.Detail, part) {
			t.Errorf("the error %q does not contain %q", f.Detail, part)
		}
	}
}

func TestDeclaredMediaTypes(t *testing.T) {
	t.Parallel()
	for declared, want := range map[string]string{
		"": "text/markdown", "text/markdown": "text/markdown", "Text/Markdown; Charset=UTF-8; variant=GFM": "text/markdown",
		"text/x-markdown": "text/markdown", "text/plain;charset=us-ascii": "text/plain", `text/plain; charset="utf-8"`: "text/plain",
		"application/octet-stream": "text/markdown", "application/x-www-form-urlencoded": "text/markdown",
	} {
		service, m := newService(t)
		if _, err := service.Upload(tenantContext(t), document.UploadRequest{Key: "k.md", MediaType: declared}, strings.NewReader("text")); err != nil {
			t.Errorf("%q: %v", declared, err)
		} else if got := m.uploads[0].MediaType; got != want {
			t.Errorf("%q: media type %q, want %q", declared, got, want)
		}
	}
	for declared, detail := range map[string]string{
		"multipart/form-data; boundary=b":         "send forms by POST",
		"application/json":                        "application/json is not accepted",
		"text/html; charset=utf-8":                "text/html is not accepted",
		"text/csv":                                "send it as text/markdown or text/plain",
		"application/pdf":                         "convert",
		"image/png":                               "image/png",
		"application/vnd.oasis.opendocument.text": "convert",
		"text/markdown; charset=iso-8859-1":       "iconv -f iso-8859-1 -t UTF-8",
		"text/plain; charset=UTF-16":              "utf-16",
		"text":                                    "text/markdown or text/plain",
		"nonsense/":                               "cannot be read",
		"text/markdown; charset":                  "cannot be read",
	} {
		err := uploadBothWays(t, document.UploadRequest{MediaType: declared}, "text")
		wantFault(t, err, fault.UnsupportedMediaType, detail)
	}
}

// Documents that are not text but are uploaded by mistake.
func TestFormats(t *testing.T) {
	t.Parallel()
	zip := func(first string) string {
		return "PK\x03\x04\x14\x00\x00\x00\x00\x00" + strings.Repeat("\x00", 16) + "\x08\x00\x00\x00" + first
	}
	for name, test := range map[string]struct{ body, detail, advice string }{
		"multipart":           {"--------------------------7f3a\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.md\"\r\n\r\n# a\r\n", "a multipart form", "by POST"},
		"a LFS pointer":       {"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n", "Git LFS pointer", "git lfs pull"},
		"an old one":          {"version https://hawser.github.com/spec/v1\r\next-0-foo sha256:aa\r\noid sha256:4d7a2146\r\nsize 1\r\n", "Git LFS pointer", "git lfs pull"},
		"RTF":                 {`{\rtf1\ansi Dear miller}`, "RTF", "pandoc"},
		"HTML":                {"\ufeff\n <!DOCTYPE html>\n<html><p>Flour", "an HTML page", "convert"},
		"HTML, no doctype":    {"<HTML lang=en><body>Flour", "an HTML page", "convert"},
		"mail":                {"Content-Type: text/markdown; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nIyBNaWxsCg==\r\n", "a mail", "decode"},
		"mail with headers":   {"From: miller@example.com\nSubject: Mill,\n and stones\nMIME-Version: 1.0\nContent-Type: multipart/mixed;\n boundary=a\n\n--a\n", "a mail", "decode"},
		"a data: URI":         {"data:text/markdown;charset=utf-8;base64,IyBNaWxs", "a data: URI", "bytes"},
		"gzip":                {"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x53\x56", "compressed with gzip", "uncompress"},
		"zip":                 {zip("a.md"), "a zip archive", "unpack"},
		"docx":                {zip("[Content_Types].xml"), "an Office document", "pandoc"},
		"docx of LibreOffice": {zip("_rels/.rels"), "an Office document", "pandoc"},
		"odt":                 {zip("mimetypeapplication/vnd.oasis.opendocument.text"), "an OpenDocument file", "pandoc"},
		"epub":                {zip("mimetypeapplication/epub+zip"), "an EPUB", "pandoc"},
		"Word":                {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00\x00", "Word", "pandoc"},
		"sqlite":              {"SQLite format 3\x00\x10\x00", "SQLite", "export"},
		"PNG":                 {"\x89PNG\x0d\x0a\x1a\x0a\x00\x00\x00\x0dIHDR", "image/png", "text"},
		"PDF":                 {"%PDF-1.7\n1 0 obj\n", "a PDF", "pdftotext"},
		"xz":                  {"\xfd7zXZ\x00\x00", "xz", "uncompress"},
		"zstd":                {"\x28\xb5\x2f\xfd\x04\x68\x81\xff\x00\x00", "zstd", "uncompress"},
		"bzip2":               {"BZh91AY&SY\xff\x00", "bzip2", "uncompress"},
		"7z":                  {"7z\xbc\xaf\x27\x1c\x00\x04", "7z", "unpack"},
		"an ELF program":      {"\x7fELF\x02\x01\x01\x00", "program", "text"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantFault(t, uploadBothWays(t, document.UploadRequest{}, test.body), fault.UnsupportedMediaType, test.detail, test.advice)
		})
	}
	form := document.UploadRequest{MediaType: "application/x-www-form-urlencoded"}
	wantFault(t, uploadBothWays(t, form, "text=%23+The+mill%0A%0AIt+grinds.&title=x"), fault.UnsupportedMediaType, "URL-encoded form", "--data-binary")
	for _, text := range []string{
		"# a=b%20c\n", "version https://git-lfs.github.com/spec/v1 is the first line of a pointer", "<h1 align=\"center\">Mill</h1>\n", "<!-- html -->\n# Mill\n",
		"<htmlx>", "--- \nContent", "data: see below", "data:text/plain,short", "PK is short for Park.", "SQLite format 3 is old.", "{\\rt}", "--a\nb",
		"---\ncontent-type: reference\n---\n# Mill\n", "Content-Type: what a header says\n\n# Headers\n", "Note: see\nMIME-Version: 1.0\n",
	} {
		if err := uploadBothWays(t, form, text); err != nil {
			t.Errorf("%q is text, but got error %v", text, err)
		}
	}
}

// encode returns s in UTF-16 or UTF-32.
func encode(s string, order binary.AppendByteOrder, bytes int) string {
	var b []byte
	if bytes == 4 {
		for _, r := range s {
			b = order.AppendUint32(b, uint32(r))
		}
		return string(b)
	}
	for _, unit := range utf16.Encode([]rune(s)) {
		b = order.AppendUint16(b, unit)
	}
	return string(b)
}

func TestWideEncodingsAreNamed(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"English": "# The mill\r\n\r\nIt grinds – always.\n", "Chinese": "# 磨坊\n\n一切都磨成粉。水车转动。\n", "short": "hi", "Russian": "Мельница мелет.\n",
		"emoji": "Grain 🌾🌾 and flour\n", "long": strings.Repeat("Grain is ground to flour. ", 3_000),
	} {
		for encoding, test := range map[string]struct {
			order binary.AppendByteOrder
			bytes int
		}{
			"UTF-16LE": {binary.LittleEndian, 2}, "UTF-16BE": {binary.BigEndian, 2},
			"UTF-32LE": {binary.LittleEndian, 4}, "UTF-32BE": {binary.BigEndian, 4},
		} {
			for _, mark := range []string{"", "\ufeff"} {
				t.Run(name+", "+encoding+" "+mark, func(t *testing.T) {
					t.Parallel()
					err := uploadBothWays(t, document.UploadRequest{}, encode(mark+text, test.order, test.bytes))
					f := fault.As(err)
					if f == nil || f.Kind != fault.InvalidEncoding {
						t.Fatalf("got error %v, want invalid_encoding", err)
					}
					wantFault(t, err, fault.InvalidEncoding, encoding, "iconv -f "+encoding+" -t UTF-8")
				})
			}
		}
	}
	for name, body := range map[string]string{"Latin-1": "M\xfchle", "Shift_JIS": "\x90\x85\x8e\xd4", "a stray NUL": "grain\x00flour and more", "a NUL at the end": "# Hello\n\nflour\x00",
		"one in a long text": "# Hello\n\n" + strings.Repeat("word ", 500) + "\x00" + strings.Repeat("words and more", 100), "noise": "\x00\x01\x00\x02\x00\x03"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := uploadBothWays(t, document.UploadRequest{}, body)
			wantFault(t, err, fault.InvalidEncoding, "iconv -f ENCODING -t UTF-8")
		})
	}
}

func TestEncodingsOfSevenBitsAreNamed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		body, encoding string
		offset         int64
	}{
		"ISO-2022-JP":         {"# \x1b$B@P1\x1b(B\n", "ISO-2022-JP", 2},
		"of 1978":             {"\x1b$@@P1\x1b(J\n", "ISO-2022-JP", 0},
		"JIS X 0212":          {"a\x1b$(D@P", "ISO-2022-JP-1", 1},
		"KR":                  {"\x1b$)C\nmill \x0eGQ1[\x0f\n", "ISO-2022-KR", 0},
		"CN":                  {"# a\n\x1b$)A\x0e=;;;\x0f", "ISO-2022-CN", 4},
		"after other escapes": {"\x1b\x1b[0m\x1b(B \x1b$\x1b$B@P", "ISO-2022-JP", 11},
		"late":                {strings.Repeat("grain ", 20_000) + "\x1b$B@P1", "ISO-2022-JP", 120_000},
		"HZ":                  {"# ~{PBJsEz~}\n\n~{5ZIqD>5ZVy~}.\n", "HZ", 2},
		"UTF-7":               {"+/v8-Hi Mom -+Jjo--!", "UTF-7", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := uploadBothWays(t, document.UploadRequest{}, test.body)
			wantFault(t, err, fault.InvalidEncoding, "is "+test.encoding+" ", "iconv -f "+test.encoding+" -t UTF-8")
			if f := fault.As(err); f != nil && (f.Offset == nil || *f.Offset != test.offset) {
				t.Errorf("offset %v, want %d", f.Offset, test.offset)
			}
		})
	}
	for _, text := range []string{
		"\x1b[1mbold\x1b[0m", "\x1b(B\x1b[m of tput", "echo -e '\x1b$'", "ends in \x1b", "ends in \x1b$", `(format t "~{~a~^, ~}~%" names) ~{abcdefghijklmnop~}`, "+1-800-GRAIN", "costs $B",
	} {
		if err := uploadBothWays(t, document.UploadRequest{}, text); err != nil {
			t.Errorf("%q is text, but got error %v", text, err)
		}
	}
}

func TestInvisibleCharactersAreNoText(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		"\ufeff\u200b\u2060\u200b\n", "\u00ad", "\u202e\u2066 \u2069", "\u3164\uffa0\u115f", "\u2800\u2800", "\ufe0f", "\U000e0041\U000e007f", "\u180e", "\u0085\u2028", "\x07\x1b",
	} {
		err := uploadBothWays(t, document.UploadRequest{}, body)
		wantFault(t, err, fault.EmptyDocument, "invisible")
	}
	for _, body := range []string{"\u200b.", "\ue000", "☺\ufe0f", "\u0301", "---\ntitle: Mill\n---\n"} {
		if err := uploadBothWays(t, document.UploadRequest{}, body); err != nil {
			t.Errorf("%+q is text, but got error %v", body, err)
		}
	}
}

// Keys are stored in one Unicode form, whichever form the client sends.
func TestKeysAreNormalised(t *testing.T) {
	t.Parallel()
	service, m := newService(t)
	for _, key := range []string{"cafe\u0301.md", "caf\u00e9.md"} {
		if _, err := service.Upload(tenantContext(t), document.UploadRequest{Key: key}, strings.NewReader("text")); err != nil {
			t.Fatal(err)
		}
	}
	if m.uploads[0].Key != "caf\u00e9.md" || m.uploads[1].Key != m.uploads[0].Key || m.uploads[0].Fingerprint != m.uploads[1].Fingerprint {
		t.Errorf("accepted %+q and %+q as different keys", m.uploads[0].Key, m.uploads[1].Key)
	}
	wantFault(t, uploadBothWays(t, document.UploadRequest{Key: "a\u200bb"}, "text"), fault.BadRequest, "U+200B")
	wantFault(t, uploadBothWays(t, document.UploadRequest{Title: "a\u202eb"}, "text"), fault.BadRequest, "title", "U+202E at byte 1")
	wantFault(t, uploadBothWays(t, document.UploadRequest{Collection: "a\u200b"}, "text"), fault.BadRequest, "collection")
}

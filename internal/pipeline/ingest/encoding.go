package ingest

import (
	"bytes"
	"encoding/binary"
	"regexp"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/seed-7a112592/gristmill/internal/fault"
)

// invalidEncodingError says at which byte a document is not UTF-8, and which encoding it seems to
// have, if that is known.
func invalidEncodingError(offset int64, what, encoding string) error {
	if encoding == "" {
		return fault.New(fault.InvalidEncoding,
			"the document is not UTF-8 text: %s at offset %d; convert it, with iconv -f ENCODING -t UTF-8 for example", what, offset).WithOffset(offset)
	}
	return fault.New(fault.InvalidEncoding,
		"the document is %s and not UTF-8: %s at offset %d; convert it with iconv -f %[1]s -t UTF-8", encoding, what, offset).WithOffset(offset)
}

// byteOrderMarks are the byte order marks of wide encodings, longest first.
var byteOrderMarks = []struct{ mark, encoding string }{
	{"\xff\xfe\x00\x00", "UTF-32LE"},
	{"\x00\x00\xfe\xff", "UTF-32BE"},
	{"\xff\xfe", "UTF-16LE"},
	{"\xfe\xff", "UTF-16BE"},
}

// detectWideEncoding returns the encoding of a text with two or four bytes for each character, by the
// first bytes of the document, or "" if it has no such encoding.
func detectWideEncoding(head []byte) string {
	for _, m := range byteOrderMarks {
		if bytes.HasPrefix(head, []byte(m.mark)) {
			return m.encoding
		}
	}
	for _, order := range []struct {
		name string
		binary.ByteOrder
	}{{"LE", binary.LittleEndian}, {"BE", binary.BigEndian}} {
		switch {
		case isUTF32(head, order):
			return "UTF-32" + order.name
		case isUTF16(head, order):
			return "UTF-16" + order.name
		}
	}
	return ""
}

func isUTF32(head []byte, order binary.ByteOrder) bool {
	for b := head; len(b) >= 4; b = b[4:] {
		if c := order.Uint32(b); c > unicode.MaxRune || !isTextRune(rune(c)) {
			return false
		}
	}
	return len(head) >= 8
}

// isUTF16 reports whether head is UTF-16 text in the given byte order. Most of its zero bytes must be
// upper halves of units, as in Latin letters, spaces and line ends: in the wrong order, these units
// are characters too. If the text without its zero bytes is UTF-8, at least half of the units must
// have a zero upper half: two Latin letters read as one unit are a character, and a UTF-8 text may
// have a NUL byte by mistake.
func isUTF16(head []byte, order binary.ByteOrder) bool {
	var units []uint16
	upper, lower := 0, 0
	for b := head; len(b) >= 2; b = b[2:] {
		unit := order.Uint16(b)
		units = append(units, unit)
		if unit>>8 == 0 {
			upper++
		}
		if unit&0xff == 0 {
			lower++
		}
	}
	if n := len(units); n > 1 && utf16.IsSurrogate(rune(units[n-1])) {
		units = units[:n-1] // its other half may follow the head
	}
	for _, r := range utf16.Decode(units) {
		if r == unicode.ReplacementChar || !isTextRune(r) {
			return false
		}
	}
	return upper > lower && (2*upper >= len(units) || !isUTF8Text(bytes.ReplaceAll(head, []byte{0}, nil)))
}

// isUTF8Text reports whether b is UTF-8 without characters that texts do not have.
func isUTF8Text(b []byte) bool {
	return isUTF8Prefix(b) && !bytes.ContainsFunc(b, func(r rune) bool { return r != utf8.RuneError && !isTextRune(r) })
}

// isTextRune reports whether r is a character that occurs in texts.
func isTextRune(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' || r == '\f' || unicode.IsGraphic(r) || unicode.Is(unicode.Cf, r) ||
		unicode.In(r, unicode.Zl, unicode.Zp)
}

// escapeSequences are the sequences with which seven-bit encodings, whose bytes are valid UTF-8, shift
// to a set of two-byte characters.
var escapeSequences = []struct{ sequence, encoding string }{
	{"\x1b$@", "ISO-2022-JP"},
	{"\x1b$B", "ISO-2022-JP"},
	{"\x1b$(D", "ISO-2022-JP-1"},
	{"\x1b$(O", "ISO-2022-JP-3"},
	{"\x1b$(P", "ISO-2022-JP-3"},
	{"\x1b$(Q", "ISO-2022-JP-2004"},
	{"\x1b$A", "ISO-2022-JP-2"},
	{"\x1b$(C", "ISO-2022-JP-2"},
	{"\x1b$)C", "ISO-2022-KR"},
	{"\x1b$)A", "ISO-2022-CN"},
	{"\x1b$)G", "ISO-2022-CN"},
	{"\x1b$)E", "ISO-2022-CN-EXT"},
}

const escape = 0x1b

// escapeFinder finds the first escape sequence in a stream.
type escapeFinder struct {
	partial []byte // bytes at the end of the previous part that may begin a sequence
}

// find returns an error if an escape sequence ends in p. offset is the position of p in the stream.
func (f *escapeFinder) find(p []byte, offset int64) error {
	for i := 0; i < len(p); i++ {
		if len(f.partial) == 0 {
			next := bytes.IndexByte(p[i:], escape)
			if next < 0 {
				return nil
			}
			i += next
		}
		if p[i] == escape {
			f.partial = f.partial[:0]
		}
		f.partial = append(f.partial, p[i])
		possible := false
		for _, s := range escapeSequences {
			if s.sequence == string(f.partial) {
				return invalidEncodingError(offset+int64(i+1-len(f.partial)), "an escape sequence", s.encoding)
			}
			possible = possible || bytes.HasPrefix([]byte(s.sequence), f.partial)
		}
		if !possible {
			f.partial = f.partial[:0]
		}
	}
	return nil
}

// hzRun matches text between the shifts of HZ: pairs of bytes that are Chinese characters.
var hzRun = regexp.MustCompile(`~\{((?:[!-w][!-~])+)~\}`)

// minHZPairs is the minimum number of pairs in an HZ text, most of which must be common ones: other
// texts may have "~{" in them too.
const minHZPairs = 8

// checkSevenBitEncoding returns an error if the head of the document shows that its encoding has
// seven bits.
func checkSevenBitEncoding(head []byte) error {
	if bytes.HasPrefix(head, []byte("+/v8")) || bytes.HasPrefix(head, []byte("+/v9")) {
		return invalidEncodingError(0, "its byte order mark", "UTF-7")
	}
	runs := hzRun.FindAllSubmatchIndex(head, -1)
	pairs, common := 0, 0
	for _, run := range runs {
		for i := run[2]; i < run[3]; i += 2 {
			pairs++
			if '0' <= head[i] && head[i] <= 'W' {
				common++
			}
		}
	}
	if pairs >= minHZPairs && common*5 >= pairs*4 {
		return invalidEncodingError(int64(runs[0][0]), "Chinese between ~{ and ~}", "HZ")
	}
	return nil
}

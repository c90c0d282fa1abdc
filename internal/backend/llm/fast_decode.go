package llm

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
)

// fastDecodeVectors decodes, in one pass, a response in the form that most servers send: vectors in
// base64, and no escapes. It returns false for any other response, valid or not, which
// encoding/json must decode. encoding/json reads a response of some hundred kilobytes three times,
// byte by byte.
func fastDecodeVectors(body []byte) (vectorAnswer, bool) {
	r := fastReader{rest: body, ok: true}
	var answer vectorAnswer
	r.object(func(key string) {
		switch key {
		case "data":
			r.failIf(answer.Data != nil) // a second "data"
			answer.Data = []vectorItem{}
			r.list('[', ']', func() { answer.Data = append(answer.Data, r.vectorItem()) })
		case "usage":
			answer.Usage = usage(bytes.Clone(r.value()))
		default:
			r.skipOther(key, "data", "usage")
		}
	})
	r.skipSpace()
	return answer, r.ok && len(r.rest) == 0 && answer.Data != nil
}

// fastReader reads plain JSON. When it meets anything else, ok becomes false, and its results are
// undefined from then on.
type fastReader struct {
	rest []byte
	ok   bool
}

func (r *fastReader) failIf(condition bool) {
	if condition {
		r.ok, r.rest = false, nil
	}
}

// vectorItem reads a vector with its index.
func (r *fastReader) vectorItem() (d vectorItem) {
	index, embedding := false, false
	r.object(func(key string) {
		switch key {
		case "index":
			r.failIf(index)
			index = true
			d.Index = r.index()
		case "embedding":
			r.failIf(embedding)
			embedding = true
			text := r.text()
			// The base64 decoder ignores line breaks, which are invalid in JSON strings. With line
			// breaks the text is longer than its numbers require.
			r.failIf(len(text)%4 != 0 || d.Embedding.decodeBase64(text) != nil || len(d.Embedding.numbers)*4 != decodedLen(text))
		default:
			r.skipOther(key, "index", "embedding")
		}
	})
	r.failIf(!index || !embedding)
	return d
}

// decodedLen returns how many bytes base64 without line breaks encodes.
func decodedLen(text []byte) int {
	padding := len(text) - len(bytes.TrimRight(text, "="))
	return base64.StdEncoding.DecodedLen(len(text)) - padding
}

// object reads an object, and calls member to read each value.
func (r *fastReader) object(member func(key string)) {
	r.list('{', '}', func() {
		r.skipSpace()
		key := r.text()
		r.failIf(bytes.ContainsFunc(key, func(c rune) bool { return c == '\\' || c < ' ' || c >= 0x7f }))
		r.skipSpace()
		r.expect(':')
		member(string(key))
	})
}

// skipOther skips the value of a key. It fails if encoding/json would match the key with one of the
// names, because it ignores case.
func (r *fastReader) skipOther(key string, names ...string) {
	for _, name := range names {
		r.failIf(strings.EqualFold(key, name))
	}
	r.value()
}

// list reads items between two brackets, separated by commas.
func (r *fastReader) list(open, end byte, item func()) {
	r.skipSpace()
	r.expect(open)
	r.skipSpace()
	if r.peek() == end {
		r.expect(end)
		return
	}
	for r.ok {
		item()
		r.skipSpace()
		if r.peek() == end {
			r.expect(end)
			return
		}
		r.expect(',')
	}
}

// value reads any value and returns its text.
func (r *fastReader) value() []byte {
	r.skipSpace()
	start, depth := r.rest, 0
	for len(r.rest) > 0 {
		switch r.rest[0] {
		case '"':
			r.text()
			continue
		case '{', '[':
			depth++
		case '}', ']', ',':
			if r.rest[0] != ',' {
				depth--
			}
			if depth < 0 || depth == 0 && r.rest[0] == ',' {
				value := start[:len(start)-len(r.rest)]
				r.failIf(!json.Valid(value))
				return value
			}
		}
		r.rest = r.rest[1:]
	}
	r.failIf(true)
	return nil
}

// text reads a string up to the next quote, which ends it if the string contains no escape. The
// caller checks that.
func (r *fastReader) text() []byte {
	r.skipSpace()
	r.expect('"')
	end := bytes.IndexByte(r.rest, '"')
	if end < 0 {
		r.failIf(true)
		return nil
	}
	text := r.rest[:end]
	r.rest = r.rest[end+1:]
	return text
}

// index reads a number without sign, fraction or exponent.
func (r *fastReader) index() (n int) {
	r.skipSpace()
	digits := 0
	for c := r.peek(); '0' <= c && c <= '9'; c = r.peek() {
		r.failIf(digits > 0 && n == 0 || digits == 9)
		n = 10*n + int(c-'0')
		digits++
		r.expect(c)
	}
	r.failIf(digits == 0)
	return n
}

func (r *fastReader) skipSpace() {
	for len(r.rest) > 0 && (r.rest[0] == ' ' || r.rest[0] == '\n' || r.rest[0] == '\r' || r.rest[0] == '\t') {
		r.rest = r.rest[1:]
	}
}

// peek returns the next byte, 0 at the end.
func (r *fastReader) peek() byte {
	if len(r.rest) == 0 {
		return 0
	}
	return r.rest[0]
}

func (r *fastReader) expect(c byte) {
	if r.peek() != c || len(r.rest) == 0 {
		r.failIf(true)
		return
	}
	r.rest = r.rest[1:]
}

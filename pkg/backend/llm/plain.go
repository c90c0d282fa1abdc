package llm

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
)

// plainAnswer decodes an answer in the form that most servers give it, vectors
// in base64 and nothing escaped, reading it once. It returns false for any other,
// valid or not, which encoding/json is to decode; that reads an answer of some
// hundred kilobytes three times, a byte at a time.
func plainAnswer(body []byte) (vectorAnswer, bool) {
	r := plainReader{rest: body, ok: true}
	var answer vectorAnswer
	r.object(func(key string) {
		switch key {
		case "data":
			r.failIf(answer.Data != nil) // twice
			answer.Data = []datum{}
			r.list('[', ']', func() { answer.Data = append(answer.Data, r.datum()) })
		case "usage":
			answer.Usage = usage(bytes.Clone(r.value()))
		default:
			r.other(key, "data", "usage")
		}
	})
	r.space()
	return answer, r.ok && len(r.rest) == 0 && answer.Data != nil
}

// plainReader reads JSON. When it meets what is not plain, ok becomes false,
// and what it returns from then on means nothing.
type plainReader struct {
	rest []byte
	ok   bool
}

func (r *plainReader) failIf(condition bool) {
	if condition {
		r.ok, r.rest = false, nil
	}
}

// datum reads a vector with its index.
func (r *plainReader) datum() (d datum) {
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
			// Line breaks, which JSON does not have, would make it longer.
			r.failIf(len(text)%4 != 0 || d.Embedding.decodeBase64(text) != nil || len(d.Embedding.numbers)*4 != decodedLen(text))
		default:
			r.other(key, "index", "embedding")
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

// object reads an object, each value by way of member.
func (r *plainReader) object(member func(key string)) {
	r.list('{', '}', func() {
		r.space()
		key := r.text()
		r.failIf(bytes.ContainsFunc(key, func(c rune) bool { return c == '\\' || c < ' ' || c >= 0x7f }))
		r.space()
		r.take(':')
		member(string(key))
	})
}

// other passes over the value of a key, unless encoding/json takes the key for
// one of the names, for which it does not look at the case.
func (r *plainReader) other(key string, names ...string) {
	for _, name := range names {
		r.failIf(strings.EqualFold(key, name))
	}
	r.value()
}

// list reads what stands between two brackets, separated by commas.
func (r *plainReader) list(open, end byte, item func()) {
	r.space()
	r.take(open)
	r.space()
	if r.next() == end {
		r.take(end)
		return
	}
	for r.ok {
		item()
		r.space()
		if r.next() == end {
			r.take(end)
			return
		}
		r.take(',')
	}
}

// value reads any value, as it is written.
func (r *plainReader) value() []byte {
	r.space()
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

// text reads a string up to the first quote, which ends it where nothing in it
// is escaped. The caller checks that.
func (r *plainReader) text() []byte {
	r.space()
	r.take('"')
	end := bytes.IndexByte(r.rest, '"')
	if end < 0 {
		r.failIf(true)
		return nil
	}
	text := r.rest[:end]
	r.rest = r.rest[end+1:]
	return text
}

// index reads a number without sign, fraction and exponent.
func (r *plainReader) index() (n int) {
	r.space()
	digits := 0
	for c := r.next(); '0' <= c && c <= '9'; c = r.next() {
		r.failIf(digits > 0 && n == 0 || digits == 9)
		n = 10*n + int(c-'0')
		digits++
		r.take(c)
	}
	r.failIf(digits == 0)
	return n
}

func (r *plainReader) space() {
	for len(r.rest) > 0 && (r.rest[0] == ' ' || r.rest[0] == '\n' || r.rest[0] == '\r' || r.rest[0] == '\t') {
		r.rest = r.rest[1:]
	}
}

// next returns the next byte, 0 at the end.
func (r *plainReader) next() byte {
	if len(r.rest) == 0 {
		return 0
	}
	return r.rest[0]
}

func (r *plainReader) take(c byte) {
	if r.next() != c || len(r.rest) == 0 {
		r.failIf(true)
		return
	}
	r.rest = r.rest[1:]
}

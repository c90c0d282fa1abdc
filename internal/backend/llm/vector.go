package llm

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
)

// vectorAnswer is the response to a request for embeddings.
type vectorAnswer struct {
	Data  []vectorItem `json:"data"`
	Usage usage        `json:"usage"`
}

type vectorItem struct {
	Index     int           `json:"index"`
	Embedding encodedVector `json:"embedding"`
}

// encodedVector is an embedding in JSON: base64 of little-endian float32, or an array of numbers,
// which servers send that ignore encoding_format.
type encodedVector struct {
	numbers     []float32
	decodeError string // why the vector cannot be decoded; other vectors are not affected
}

// UnmarshalJSON implements json.Unmarshaler. It returns no error, because an error would end the
// decoding of the following vectors.
func (v *encodedVector) UnmarshalJSON(b []byte) error {
	if err := v.decode(b); err != nil {
		v.numbers, v.decodeError = nil, err.Error()
	}
	return nil
}

func (v *encodedVector) decode(b []byte) error {
	if b[0] != '"' {
		return v.decodeNumbers(b)
	}
	text := b[1 : len(b)-1]
	if bytes.IndexByte(text, '\\') >= 0 { // some servers escape the slash
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		text = []byte(s)
	}
	return v.decodeBase64(text)
}

var errNotFinite = errors.New("a number that is not finite")

func (v *encodedVector) decodeNumbers(b []byte) error {
	if b[0] == '[' && bytes.Contains(b, []byte("null")) { // encoding/json would read it as 0
		return errors.New("null instead of a number")
	}
	err := json.Unmarshal(b, &v.numbers)
	wrong, ok := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case !ok:
		return err
	case strings.HasPrefix(wrong.Value, "number"), bytes.Contains(b, notFiniteLiteral): // a "number" is too large
		return errNotFinite
	case b[0] != '[':
		return fmt.Errorf("%s instead of numbers", wrong.Value)
	default:
		return fmt.Errorf("%s instead of a number", wrong.Value)
	}
}

// notFiniteLiteral replaces numbers that JSON does not have.
var notFiniteLiteral = []byte(`"not finite"`)

// stringOrNotFinite matches the words that some servers write for such numbers. It also matches
// strings, so that words within them are not replaced.
var stringOrNotFinite = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|-?(?i:nan|inf(?:inity)?)\b`)

// replaceNotFinite replaces these words, which alone make a response invalid JSON.
func replaceNotFinite(body []byte) []byte {
	return stringOrNotFinite.ReplaceAllFunc(body, func(b []byte) []byte {
		if b[0] == '"' {
			return b
		}
		return notFiniteLiteral
	})
}

// decodeBase64 decodes in pieces, so that the decoded bytes need no buffer of full length. A piece
// ends at a border of numbers, of bytes and of base64 groups.
func (v *encodedVector) decodeBase64(text []byte) error {
	const numbers = 768
	var raw [numbers * 4]byte
	floats := make([]float32, 0, base64.StdEncoding.DecodedLen(len(text))/4)
	for len(text) > 0 {
		piece := text[:min(len(text), numbers*4/3*4)]
		text = text[len(piece):]
		n, err := base64.StdEncoding.Decode(raw[:], piece)
		if err != nil {
			return err
		}
		if n%4 != 0 {
			return fmt.Errorf("%d bytes left over", n%4)
		}
		for i := 0; i < n; i += 4 {
			floats = append(floats, math.Float32frombits(binary.LittleEndian.Uint32(raw[i:])))
		}
	}
	v.numbers = floats
	return nil
}

const (
	maxFloat16 = 65504           // largest number in half precision
	minFloat16 = 1.0 / (1 << 14) // smallest number with full precision
)

// checkAndScale returns an error if the vector is invalid, without regard to its dimensions, and
// makes it fit for half precision, in which stores keep it: if the largest number would be lost,
// the vector is scaled to length 1. Only the direction counts.
func (v encodedVector) checkAndScale() error {
	if v.decodeError != "" {
		return errors.New(v.decodeError)
	}
	// Squares of float32 neither overflow nor vanish in float64: the sum is finite if and only if
	// every number is finite, and 0 if and only if all are 0.
	var sum, largest float64
	for _, x := range v.numbers {
		sum += float64(x) * float64(x)
		if size := math.Abs(float64(x)); size > largest { // false for NaN
			largest = size
		}
	}
	switch {
	case math.IsNaN(sum) || math.IsInf(sum, 0):
		return errNotFinite
	case len(v.numbers) == 0:
		return errors.New("no numbers")
	case sum == 0:
		return errors.New("only zeros")
	case largest > maxFloat16 || largest < minFloat16:
		for i, x := range v.numbers {
			v.numbers[i] = float32(float64(x) / math.Sqrt(sum))
		}
	}
	return nil
}

package llm

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// vectorAnswer is the answer to a request for embeddings.
type vectorAnswer struct {
	Data []struct {
		Index     int    `json:"index"`
		Embedding vector `json:"embedding"`
	} `json:"data"`
	Usage usage `json:"usage"`
}

// vector is an embedding in JSON: base64 of little-endian float32, or an array
// of numbers, which is what servers answer that ignore encoding_format.
type vector []float32

// badVector is what is wrong with a vector that cannot be decoded, for people.
type badVector string

// Error implements error.
func (b badVector) Error() string { return "decode vector: " + string(b) }

// UnmarshalJSON implements json.Unmarshaler.
func (v *vector) UnmarshalJSON(b []byte) error {
	if b[0] != '"' {
		// encoding/json takes null for 0.
		if b[0] == '[' && bytes.Contains(b, []byte("null")) {
			return badVector("null in the place of a number")
		}
		return json.Unmarshal(b, (*[]float32)(v))
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

// decodeBase64 decodes piece by piece, so that the bytes between text and
// numbers need no memory of their own. A piece ends on a border of numbers, of
// bytes and of base64 groups.
func (v *vector) decodeBase64(text []byte) error {
	const numbers = 768
	var raw [numbers * 4]byte
	floats := make([]float32, 0, base64.StdEncoding.DecodedLen(len(text))/4)
	for len(text) > 0 {
		piece := text[:min(len(text), numbers*4/3*4)]
		text = text[len(piece):]
		n, err := base64.StdEncoding.Decode(raw[:], piece)
		if err != nil {
			return badVector(err.Error())
		}
		if n%4 != 0 {
			return badVector(fmt.Sprintf("%d bytes left over", n%4))
		}
		for i := 0; i < n; i += 4 {
			floats = append(floats, math.Float32frombits(binary.LittleEndian.Uint32(raw[i:])))
		}
	}
	*v = floats
	return nil
}

const (
	maxHalf = 65504           // the largest number of half precision
	minHalf = 1.0 / (1 << 14) // the smallest that has all of its digits
)

// fit reports what is wrong with the vector's numbers, if anything is, and makes
// them fit for half precision, which stores keep them in: where it would lose
// the largest of them, all are scaled to length 1. Only their direction counts.
func (v vector) fit() error {
	// Squares of float32 neither overflow float64 nor vanish in it: the sum is
	// finite exactly when every number is, and 0 when all are.
	var sum, largest float64
	for _, x := range v {
		sum += float64(x) * float64(x)
		largest = max(largest, math.Abs(float64(x)))
	}
	switch {
	case math.IsNaN(sum) || math.IsInf(sum, 0):
		return errors.New("a number that is not finite")
	case sum == 0:
		return errors.New("nothing but zeros")
	case largest > maxHalf || largest < minHalf:
		for i, x := range v {
			v[i] = float32(float64(x) / math.Sqrt(sum))
		}
	}
	return nil
}

package fakeprovider

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/seed-7a112592/gristmill/internal/backend/llm"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// poolSize is the number of vectors that are prepared for each length.
const poolSize = 256

// A unit is the smallest number of floats that is also a whole number of base64 groups: 3 floats
// are 12 bytes and 16 characters.
const (
	unitFloats = 3
	unitChars  = 16
)

// vectors generates vectors of texts. Equal texts have equal vectors; different texts have
// different ones.
type vectors struct {
	semantic bool
	pools    sync.Map // int → func() []string
}

// appendBase64 appends the vector of a text, in base64. It costs little more than copying: the
// first unit encodes the text's hash; the rest is the beginning of one vector from the pool and the
// end of another.
func (v *vectors) appendBase64(b []byte, text string, dimensions int) []byte {
	if v.semantic || dimensions <= unitFloats {
		return appendEncoded(b, v.makeVector(text, dimensions))
	}
	hash := xxhash.Sum64String(text)
	head := hashFloats(hash, dimensions)
	b = appendEncoded(b, head[:])
	prepared := v.pool(dimensions)
	first, second := prepared[hash%poolSize], prepared[hash>>8%poolSize]
	units := dimensions / unitFloats
	split := unitChars * (1 + int(hash>>16%uint64(units)))
	b = append(b, first[unitChars:split]...)
	return append(b, second[split:]...)
}

// floats returns the vector of a text as numbers.
func (v *vectors) floats(text string, dimensions int) []float32 {
	if v.semantic || dimensions <= unitFloats {
		return v.makeVector(text, dimensions)
	}
	raw, err := base64.StdEncoding.DecodeString(string(v.appendBase64(nil, text, dimensions)))
	if err != nil {
		panic(err) // cannot fail: appendBase64 writes valid base64
	}
	floats := make([]float32, dimensions)
	for i := range floats {
		floats[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return floats
}

func (v *vectors) makeVector(text string, dimensions int) []float32 {
	if v.semantic {
		made, err := llm.LocalEmbedder{}.Embed(context.Background(), document.Model{Dimensions: dimensions}, []string{text})
		if err != nil {
			panic(err) // cannot fail: the context never ends
		}
		return made[0]
	}
	head := hashFloats(xxhash.Sum64String(text), dimensions)
	return head[:dimensions]
}

// hashFloats encodes a hash as floats that are not zero and whose length is at most about that of a
// unit vector with these dimensions.
func hashFloats(hash uint64, dimensions int) [unitFloats]float32 {
	var head [unitFloats]float32
	scale := 1 / math.Sqrt(float64(dimensions))
	for i := range head {
		part := hash >> (21 * i) & (1<<21 - 1)
		head[i] = float32(scale * (float64(part) + 0.5 - 1<<20) / (1 << 20))
	}
	return head
}

// pool returns the prepared vectors with these dimensions, in base64.
func (v *vectors) pool(dimensions int) []string {
	made, _ := v.pools.LoadOrStore(dimensions, sync.OnceValue(func() []string {
		random := rand.New(rand.NewPCG(1, uint64(dimensions)))
		scale := math.Sqrt(3 / float64(dimensions)) // for a length of about 1
		vector := make([]float32, dimensions)
		encoded := make([]string, poolSize)
		for i := range encoded {
			for j := range vector {
				vector[j] = float32(scale * (2*random.Float64() - 1))
			}
			encoded[i] = string(appendEncoded(nil, vector))
		}
		return encoded
	}))
	return made.(func() []string)()
}

func appendEncoded(b []byte, vector []float32) []byte {
	raw := make([]byte, 0, 4*len(vector))
	for _, x := range vector {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	return base64.StdEncoding.AppendEncode(b, raw)
}

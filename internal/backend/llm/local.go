package llm

import (
	"context"
	"math"
	"math/bits"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// LocalModel is the name of the local embedding model.
const LocalModel = "local"

// LocalDimensions is the length of its vectors where none is asked for.
const LocalDimensions = 512

// LocalEmbedder embeds without a provider. Its vectors are not learned: words, pairs
// of adjacent characters in scripts without spaces, and the character n-grams
// of words are counted and hashed, with a sign, into the dimensions asked for
// (feature hashing, Weinberger et al. 2009). Texts are near to each other when
// they share words and parts of words; synonyms and other languages are not
// found. It serves to run Gristmill with nothing else, and to test it.
//
// Equal texts have equal vectors on every platform and in every process: all
// sums are of integers, and what is left of floating point is exactly rounded
// by IEEE 754. It is safe for concurrent use.
type LocalEmbedder struct{}

// Features of different kinds are hashed apart.
const (
	kindWord uint64 = 0x9e3779b97f4a7c15
	kindPair uint64 = 0xbf58476d1ce4e5b9
	kindGram uint64 = 0x94d049bb133111eb
	kindText uint64 = 0xd6e8feb86659fd93
)

// Weights of features; a word has 3 to 8 (see weight). They were chosen by how
// well headings find their sections in English, Korean and Chinese manuals.
const (
	pairWeight         = 10
	gramWeight         = 3 // three letters
	syllableGramWeight = 6 // two syllables
)

// Embed returns a unit vector for each text, of model.Dimensions numbers, or
// LocalDimensions where that is 0. No text has the zero vector.
func (LocalEmbedder) Embed(ctx context.Context, model document.Model, texts []string) ([][]float32, error) {
	dimensions := model.Dimensions
	if dimensions <= 0 {
		dimensions = LocalDimensions
	}
	if len(texts) == 0 {
		return nil, nil
	}
	vectors := make([][]float32, len(texts))
	for i, text := range texts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		vectors[i] = embedLocally(text, dimensions)
	}
	return vectors, nil
}

func embedLocally(text string, dimensions int) []float32 {
	normal := normalise(text)
	sums := make(vectorSums, dimensions)
	for _, t := range countTerms(normal) {
		// Damped as 1 + log2 is: the tenth mention says less than the second.
		times := int64(bits.Len(uint(t.count)))
		if t.pair {
			sums.add(kindPair, t.text, times*pairWeight)
			continue
		}
		sums.add(kindWord, t.text, times*wordWeight(t.text))
		sums.addGrams(t.text, times)
	}
	if sums.isZero() { // no words, or a rare case of signs that cancel
		sums.add(kindText, normal, 1)
	}
	return sums.unitVector()
}

// feature is a word, or a pair of adjacent characters.
type feature struct {
	text string
	pair bool
}

// term is a feature of a text and how often it occurs there.
type term struct {
	feature
	count int
}

// countTerms returns the terms of a normalised text, in order of their first
// occurrence.
func countTerms(text string) []term {
	known := make(map[feature]int) // place in terms
	var terms []term
	add := func(f feature) {
		i, ok := known[f]
		if !ok {
			i = len(terms)
			known[f] = i
			terms = append(terms, term{feature: f})
		}
		terms[i].count++
	}
	for w := range words(text) {
		add(feature{text: w.text})
		if w.pair != "" {
			add(feature{text: w.pair, pair: true})
		}
	}
	return terms
}

// vectorSums are a vector before it is brought to length one.
type vectorSums []int64

func (s vectorSums) add(kind uint64, feature string, weight int64) {
	h := (xxhash.Sum64String(feature) ^ kind) * 0xff51afd7ed558ccd
	i, _ := bits.Mul64(h, uint64(len(s))) // the high bits pick the dimension
	if h>>8&1 == 1 {                      // a low one the sign
		weight = -weight
	}
	s[i] += weight
}

// addGrams adds the character n-grams of a word: three letters, with marks at
// both ends, or two syllables.
func (s vectorSums) addGrams(text string, times int64) {
	n, weight := 3, times*gramWeight
	if r, _ := utf8.DecodeRuneInString(text); isSyllabic(r) {
		n, weight = 2, times*syllableGramWeight
	} else {
		text = "<" + text + ">"
	}
	var starts [3]int // of the last n runes
	runes := 0
	for i, r := range text {
		starts[runes%n] = i
		runes++
		if runes >= n {
			s.add(kindGram, text[starts[runes%n]:i+utf8.RuneLen(r)], weight)
		}
	}
}

func (s vectorSums) isZero() bool {
	for _, x := range s {
		if x != 0 {
			return false
		}
	}
	return true
}

func (s vectorSums) unitVector() []float32 {
	var squares float64
	for _, x := range s {
		squares += float64(float64(x) * float64(x)) // the conversion forbids a fused multiply-add
	}
	length := math.Sqrt(squares)
	v := make([]float32, len(s))
	for i, x := range s {
		v[i] = float32(float64(x) / length)
	}
	return v
}

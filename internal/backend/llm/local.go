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

// LocalDimensions is the dimensions of its vectors if none are requested.
const LocalDimensions = 512

// LocalEmbedder embeds without a provider. Its vectors are not learned: words, pairs of adjacent
// characters in scripts without spaces, and character n-grams of words are counted and hashed, with
// a sign, into the requested dimensions (feature hashing, Weinberger et al. 2009). Texts are near
// each other if they share words and parts of words; synonyms and translations are not found. It
// serves to run and to test Gristmill without a provider.
//
// Equal texts have equal vectors on every platform and in every process: all sums are of integers,
// and IEEE 754 rounds the remaining floating-point operations exactly. It is safe for concurrent
// use.
type LocalEmbedder struct{}

// Features of different kinds have different hashes.
const (
	kindWord uint64 = 0x9e3779b97f4a7c15
	kindPair uint64 = 0xbf58476d1ce4e5b9
	kindGram uint64 = 0x94d049bb133111eb
	kindText uint64 = 0xd6e8feb86659fd93
)

// Weights of features; a word has 3 to 8 (see wordWeight). They were chosen by how well headings
// find their sections in English, Korean and Chinese manuals.
const (
	pairWeight         = 10
	gramWeight         = 3 // three letters
	syllableGramWeight = 6 // two syllables
)

// Embed returns a unit vector for each text, with model.Dimensions numbers, or LocalDimensions if
// that is 0. No text has the zero vector.
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
		// Damped like 1 + log2: the tenth occurrence says less than the second.
		times := int64(bits.Len(uint(t.count)))
		if t.pair {
			sums.add(kindPair, t.text, times*pairWeight)
			continue
		}
		sums.add(kindWord, t.text, times*wordWeight(t.text))
		sums.addGrams(t.text, times)
	}
	if sums.isZero() { // no words, or the rare case that signs cancel
		sums.add(kindText, normal, 1)
	}
	return sums.unitVector()
}

// feature is a word, or a pair of adjacent characters.
type feature struct {
	text string
	pair bool
}

// term is a feature of a text and the number of its occurrences.
type term struct {
	feature
	count int
}

// countTerms returns the terms of a normalised text, in the order of their first occurrence.
func countTerms(text string) []term {
	known := make(map[feature]int) // index in terms
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

// vectorSums is a vector before it is scaled to length one.
type vectorSums []int64

func (s vectorSums) add(kind uint64, feature string, weight int64) {
	h := (xxhash.Sum64String(feature) ^ kind) * 0xff51afd7ed558ccd
	i, _ := bits.Mul64(h, uint64(len(s))) // the high bits select the dimension
	if h>>8&1 == 1 {                      // a low bit selects the sign
		weight = -weight
	}
	s[i] += weight
}

// addGrams adds the character n-grams of a word: three letters, with markers at both ends of the
// word, or two syllables.
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
		squares += float64(float64(x) * float64(x)) // the conversion prevents a fused multiply-add
	}
	length := math.Sqrt(squares)
	v := make([]float32, len(s))
	for i, x := range s {
		v[i] = float32(float64(x) / length)
	}
	return v
}

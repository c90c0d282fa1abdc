package llm

import (
	"cmp"
	"context"
	"math/bits"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// ExtractiveModel is the name of the extractive summary model.
const ExtractiveModel = "extractive"

// maxExtractRunes is the length of an extractive summary, in characters.
const maxExtractRunes = 400

// ExtractiveSummariser summarises without a provider and without a learned model: it
// quotes the sentences whose words are also those of other sentences, or of
// the heading, and prefers early ones. Equal texts have equal summaries. It is
// safe for concurrent use.
type ExtractiveSummariser struct{}

// Summarise returns at most 400 characters of sentences of the texts, in their
// order: of their prose where there is any, else of what else there is. The
// model's name is not looked at.
func (ExtractiveSummariser) Summarise(ctx context.Context, _, heading string, texts []string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	heading = stripMarkup(heading)
	sentences := splitSentences(texts)
	if len(sentences) == 0 {
		return truncateRunes(heading), nil
	}
	scoreSentences(sentences, heading)
	return joinSentences(chooseSentences(sentences)), nil
}

// sentence is one sentence of the texts, or as much of a long one as fits.
type sentence struct {
	text  string
	order int
	terms []term
	score int64
}

// splitSentences returns the sentences of the texts' prose, or of everything where
// there is no prose.
func splitSentences(texts []string) []*sentence {
	var paragraphs []string
	for _, text := range texts {
		paragraphs = append(paragraphs, proseParagraphs(text)...)
	}
	if len(paragraphs) == 0 {
		paragraphs = []string{textWithoutProse(strings.Join(texts, "\n"))}
	}
	var sentences []*sentence
	for _, rest := range paragraphs {
		state := -1
		for len(rest) > 0 {
			var s string
			s, rest, state = uniseg.FirstSentenceInString(rest, state)
			s = strings.TrimSpace(s)
			if strings.IndexFunc(s, isWordRune) < 0 {
				continue
			}
			s = truncateRunes(s)
			sentences = append(sentences, &sentence{text: s, order: len(sentences), terms: significantTerms(s)})
		}
	}
	return sentences
}

// significantTerms returns the terms of a text that may say what it is about: pairs of
// characters, and words but for the shortest.
func significantTerms(text string) []term {
	return slices.DeleteFunc(countTerms(normalise(text)), func(t term) bool {
		return !t.pair && wordWeight(t.text) <= 5
	})
}

// scoreSentences rates each sentence by how central it is: by the terms that it shares
// with others, twice those of the heading, for its length; and then by place.
// It counts in integers, so that every platform agrees.
func scoreSentences(sentences []*sentence, heading string) {
	in := make(map[feature]int) // how many sentences hold the term
	for _, s := range sentences {
		for _, t := range s.terms {
			in[t.feature]++
		}
	}
	titled := make(map[feature]bool)
	for _, t := range significantTerms(heading) {
		titled[t.feature] = true
	}
	for _, s := range sentences {
		var sum int64
		for _, t := range s.terms {
			w := int64(bits.Len(uint(in[t.feature])))
			if titled[t.feature] {
				w *= 2
			}
			sum += w * wordWeight(t.text)
		}
		// The constant keeps a few good words from beating a good sentence.
		s.score = 1000 * sum / int64(len(s.terms)+8)
		s.score += s.score / int64(s.order+1)
	}
}

// chooseSentences takes the best sentences that fit and that say something new, and
// returns them in the order of the text.
func chooseSentences(sentences []*sentence) []*sentence {
	ranked := slices.Clone(sentences)
	slices.SortStableFunc(ranked, func(a, b *sentence) int { return cmp.Compare(b.score, a.score) })
	var chosen []*sentence
	said := make(map[feature]bool)
	room := maxExtractRunes
	for _, s := range ranked {
		length := utf8.RuneCountInString(s.text) + 1 // and a space
		if length > room+1 || !saysSomethingNew(s, said) {
			continue
		}
		room -= length
		chosen = append(chosen, s)
		for _, t := range s.terms {
			said[t.feature] = true
		}
	}
	slices.SortFunc(chosen, func(a, b *sentence) int { return a.order - b.order })
	return chosen
}

// saysSomethingNew reports whether less than two thirds of the sentence has been said.
func saysSomethingNew(s *sentence, said map[feature]bool) bool {
	old := 0
	for _, t := range s.terms {
		if said[t.feature] {
			old++
		}
	}
	return len(said) == 0 || old*3 < len(s.terms)*2
}

// joinSentences writes sentences one after the other, with a space where the script
// uses them.
func joinSentences(sentences []*sentence) string {
	var b strings.Builder
	for i, s := range sentences {
		if i > 0 {
			if last, _ := utf8.DecodeLastRuneInString(sentences[i-1].text); !isFullWidthPunct(last) {
				b.WriteByte(' ')
			}
		}
		b.WriteString(s.text)
	}
	return b.String()
}

// isFullWidthPunct reports whether the rune is punctuation that brings its own space.
func isFullWidthPunct(r rune) bool { return r >= 0x3000 && unicode.IsPunct(r) }

// truncateRunes cuts a text to the length of a summary, between words if it has any,
// and marks the cut.
func truncateRunes(text string) string {
	runes := 0
	for i := range text {
		if runes++; runes <= maxExtractRunes {
			continue
		}
		cut := text[:i]
		_, last := utf8.DecodeLastRuneInString(cut)
		cut = cut[:len(cut)-last] // room for the mark
		if space := strings.LastIndexFunc(cut, unicode.IsSpace); space > len(cut)/2 {
			cut = cut[:space]
		}
		return cut + "…"
	}
	return text
}

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

// maxExtractRunes is the maximum length of an extractive summary, in characters.
const maxExtractRunes = 400

// ExtractiveSummariser summarises without a provider and without a learned model: it quotes
// sentences whose words also occur in other sentences or in the heading, and prefers early
// sentences. Equal texts have equal summaries. It is safe for concurrent use.
type ExtractiveSummariser struct{}

// Summarise returns sentences of the texts, at most 400 characters, in their order. It uses the
// prose of the texts if there is any, or else the other text. The model's name is ignored.
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

// sentence is one sentence of the texts; a long one is truncated.
type sentence struct {
	text  string
	order int
	terms []term
	score int64
}

// splitSentences returns the sentences of the texts' prose, or of all text if there is no prose.
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

// significantTerms returns the terms that may say what a text is about: pairs of characters, and
// words except the shortest.
func significantTerms(text string) []term {
	return slices.DeleteFunc(countTerms(normalise(text)), func(t term) bool {
		return !t.pair && wordWeight(t.text) <= 5
	})
}

// scoreSentences scores each sentence by how central it is: by the terms that it shares with other
// sentences, doubled for terms of the heading, relative to its length, and then by its position.
// Integer arithmetic gives the same result on every platform.
func scoreSentences(sentences []*sentence, heading string) {
	in := make(map[feature]int) // number of sentences that contain the term
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
		// The constant keeps a few good words from scoring above a good sentence.
		s.score = 1000 * sum / int64(len(s.terms)+8)
		s.score += s.score / int64(s.order+1)
	}
}

// chooseSentences chooses the best sentences that fit and contain new terms, and returns them in
// the order of the text.
func chooseSentences(sentences []*sentence) []*sentence {
	ranked := slices.Clone(sentences)
	slices.SortStableFunc(ranked, func(a, b *sentence) int { return cmp.Compare(b.score, a.score) })
	var chosen []*sentence
	covered := make(map[feature]bool)
	room := maxExtractRunes
	for _, s := range ranked {
		length := utf8.RuneCountInString(s.text) + 1 // plus a space
		if length > room+1 || !hasNewTerms(s, covered) {
			continue
		}
		room -= length
		chosen = append(chosen, s)
		for _, t := range s.terms {
			covered[t.feature] = true
		}
	}
	slices.SortFunc(chosen, func(a, b *sentence) int { return a.order - b.order })
	return chosen
}

// hasNewTerms reports whether less than two thirds of the sentence's terms are covered.
func hasNewTerms(s *sentence, covered map[feature]bool) bool {
	old := 0
	for _, t := range s.terms {
		if covered[t.feature] {
			old++
		}
	}
	return len(covered) == 0 || old*3 < len(s.terms)*2
}

// joinSentences joins sentences, with spaces where the script uses them.
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

// isFullWidthPunct reports whether the rune is full-width punctuation, which needs no space after
// it.
func isFullWidthPunct(r rune) bool { return r >= 0x3000 && unicode.IsPunct(r) }

// truncateRunes truncates a text to the length of a summary, between words if possible, and marks
// the cut with an ellipsis.
func truncateRunes(text string) string {
	runes := 0
	for i := range text {
		if runes++; runes <= maxExtractRunes {
			continue
		}
		cut := text[:i]
		_, last := utf8.DecodeLastRuneInString(cut)
		cut = cut[:len(cut)-last] // room for the ellipsis
		if space := strings.LastIndexFunc(cut, unicode.IsSpace); space > len(cut)/2 {
			cut = cut[:space]
		}
		return cut + "…"
	}
	return text
}

package embedding

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const (
	// maxTruncations is how often a text that is too long is truncated again.
	maxTruncations = 12

	// minTextBytes is the shortest text that is worth embedding, in bytes.
	minTextBytes = 16

	// tooLongFactor times the tokens of the shortest text that was too long is the length from
	// which a text is truncated before it is sent.
	tooLongFactor = 2

	// limitMargin is the part of a limit that is used, because models and this program count tokens
	// differently.
	limitMargin = 0.95
)

// embedOne embeds one text. It truncates a text that is too long for the model.
func (s *sender) embedOne(ctx context.Context, hash document.ContentHash) (embedResult, error) {
	text := s.req.Texts.byHash[hash].EmbeddingInput()
	tokens := s.req.Texts.tokensOf(hash)
	known := s.Process.limits.get(s.req.Space.Model)
	keep := 0
	if known.tooLongTokens > 0 && tokens >= tooLongFactor*known.tooLongTokens {
		keep = truncationPoint(text, len(text)*known.truncatedTokens/tokens)
	}
	var refused error
	if keep < minTextBytes {
		embedded, err := s.sendRequest(ctx, []document.ContentHash{hash}, 0)
		if err == nil || !IsRefused(err) {
			return embedResult{embedded: embedded}, err
		}
		refused = err
		keep = truncationPoint(text, bytesThatFit(text, tokens, err))
	}
	for range maxTruncations {
		if keep < minTextBytes || refused != nil && !fault.Is(refused, fault.InputTooLong) {
			break
		}
		embedded, err := s.sendRequest(ctx, []document.ContentHash{hash}, keep)
		if err == nil {
			s.Process.limits.recordTruncated(s.req.Space.Model, tokens, tokens*keep/len(text))
			return embedResult{embedded: embedded, oneRefused: true}, nil
		}
		if !IsRefused(err) {
			return embedResult{oneRefused: true}, err
		}
		refused = err
		keep = truncationPoint(text, keep/2)
	}
	s.refusedCount.Add(1)
	return embedResult{refusals: []Refusal{{hash, refused}}, oneRefused: true}, nil
}

// TruncateRefused returns the beginning of a text that the model refused as too long, short enough
// for the limit that the error names, or half of the text if it names none. It returns "" if
// nothing worth sending is left.
func TruncateRefused(text string, refused error) string {
	tokens := (len(text) + 3) / 4
	at := truncationPoint(text, bytesThatFit(text, tokens, refused))
	if at < minTextBytes {
		return ""
	}
	return text[:at]
}

var (
	statusPrefix  = regexp.MustCompile(`^.*?answered \d{3}: `) // what precedes the provider's words
	numberPattern = regexp.MustCompile(`\d+(?:[,_]\d{3})*`)
)

// bytesThatFit returns how many bytes of a refused text the model should accept: as many as the
// limit in the error allows, or half of the text if the error names no limit. tokens is the length
// of the text in tokens.
func bytesThatFit(text string, tokens int, refused error) int {
	half := len(text) / 2
	f := fault.As(refused)
	if f == nil {
		return half
	}
	var numbers []float64
	words := statusPrefix.ReplaceAllString(f.Detail, "")
	for _, digits := range numberPattern.FindAllString(words, -1) {
		n, err := strconv.ParseFloat(strings.NewReplacer(",", "", "_", "").Replace(digits), 64)
		if err == nil && n >= minTextBytes {
			numbers = append(numbers, n)
		}
	}
	// The error may name the length of the text together with the limit, in the same unit, or the
	// limit alone, in tokens or characters.
	given := float64(tokens)
	if strings.Contains(strings.ToLower(words), "character") {
		given = float64(utf8.RuneCountInString(text))
	}
	most := 0.0
	for _, n := range numbers {
		if len(numbers) > 1 && n > most && n >= given/3 && n <= given*4 {
			most = n
		}
	}
	limit := 0.0
	if most > 0 {
		given = most
	}
	for _, n := range numbers {
		if n < given && n > limit {
			limit = n
		}
	}
	if limit == 0 || limit < given/100 {
		return half
	}
	return int(float64(len(text)) * limit / given * limitMargin)
}

// zeroWidthJoiner joins two characters into one, such as the emoji of a family.
const zeroWidthJoiner = "\u200d"

// truncationPoint returns where to cut a text of which at most n bytes are wanted: after a word if
// one ends in the last quarter, and never within a character.
func truncationPoint(text string, n int) int {
	n = max(min(n, len(text)), 0)
	if n == len(text) {
		return n
	}
	for n > 0 && (isWithinCharacter(text[n:]) || strings.HasSuffix(text[:n], zeroWidthJoiner)) {
		n--
	}
	if at := strings.LastIndexFunc(text[:n], unicode.IsSpace); at >= n-n/4 {
		n = at
	}
	return len(strings.TrimRightFunc(text[:n], unicode.IsSpace))
}

// isWithinCharacter reports whether rest begins within a character: within its UTF-8 bytes, or with
// a mark that changes the character before it, such as an accent.
func isWithinCharacter(rest string) bool {
	r, size := utf8.DecodeRuneInString(rest)
	if r == utf8.RuneError && size <= 1 {
		return true
	}
	return unicode.In(r, unicode.Mn, unicode.Me, unicode.Mc) || strings.HasPrefix(rest, zeroWidthJoiner) || unicode.Is(unicode.Variation_Selector, r)
}

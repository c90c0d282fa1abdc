package embedding

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

const (
	// maxCuts is how often a text that is too long is cut.
	maxCuts = 12

	// minCut is what is worth embedding, in bytes.
	minCut = 16

	// surely is how much longer than the shortest text that was too long one has
	// to be for it to be cut without being tried.
	surely = 2

	// margin is how much of a limit is used: models and we count differently.
	margin = 0.95
)

// single embeds one text. When it is too long it is cut to what the model
// takes.
func (s *sender) single(ctx context.Context, hash document.Hash) (answer, error) {
	text := s.order.Texts.of[hash].Embedding()
	tokens := s.order.Texts.tokens(hash)
	known := s.Process.limits.get(s.order.Space.Model)
	keep := 0
	if known.long > 0 && tokens >= surely*known.long {
		keep = cutAt(text, len(text)*known.fit/tokens)
	}
	var refused error
	if keep < minCut {
		bought, err := s.request(ctx, []document.Hash{hash}, 0)
		if err == nil || !IsRefused(err) {
			return answer{bought: bought}, err
		}
		refused = err
		keep = cutAt(text, fits(text, tokens, err))
	}
	for range maxCuts {
		if keep < minCut || refused != nil && !fault.Is(refused, fault.TooLong) {
			break
		}
		bought, err := s.request(ctx, []document.Hash{hash}, keep)
		if err == nil {
			s.Process.limits.shortened(s.order.Space.Model, tokens, tokens*keep/len(text))
			return answer{bought: bought, single: true}, nil
		}
		if !IsRefused(err) {
			return answer{single: true}, err
		}
		refused = err
		keep = cutAt(text, keep/2)
	}
	s.refused.Add(1)
	return answer{refusals: []Refusal{{hash, refused}}, single: true}, nil
}

// Shorten returns the part of a text that a model should take which has found
// it too long, by its words if they name a limit; "" when there is nothing worth
// sending.
func Shorten(text string, refused error) string {
	tokens := (len(text) + 3) / 4
	at := cutAt(text, fits(text, tokens, refused))
	if at < minCut {
		return ""
	}
	return text[:at]
}

var (
	answered = regexp.MustCompile(`^.*?answered \d{3}: `) // before the provider's words
	number   = regexp.MustCompile(`\d+(?:[,_]\d{3})*`)
)

// fits returns how many bytes of a text of so many tokens a model should take
// that finds it too long: by the limit in its words, if there is one, or else
// half of it.
func fits(text string, tokens int, refused error) int {
	half := len(text) / 2
	f := fault.As(refused)
	if f == nil {
		return half
	}
	var numbers []float64
	words := answered.ReplaceAllString(f.Detail, "")
	for _, digits := range number.FindAllString(words, -1) {
		n, err := strconv.ParseFloat(strings.NewReplacer(",", "", "_", "").Replace(digits), 64)
		if err == nil && n >= minCut {
			numbers = append(numbers, n)
		}
	}
	// What was sent is named beside the limit, in the same unit, or the limit
	// stands alone, in one of those we know.
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
	return int(float64(len(text)) * limit / given * margin)
}

// joiner makes one character of two, such as a family of people.
const joiner = "\u200d"

// cutAt returns where to cut a text of which at most n bytes are wanted: behind
// a word if there is one in the last quarter, and never within a character.
func cutAt(text string, n int) int {
	n = max(min(n, len(text)), 0)
	if n == len(text) {
		return n
	}
	for n > 0 && (continues(text[n:]) || strings.HasSuffix(text[:n], joiner)) {
		n--
	}
	if at := strings.LastIndexFunc(text[:n], unicode.IsSpace); at >= n-n/4 {
		n = at
	}
	return len(strings.TrimRightFunc(text[:n], unicode.IsSpace))
}

// continues reports whether rest begins within a character: within its bytes,
// or with what changes the one before, such as an accent.
func continues(rest string) bool {
	r, size := utf8.DecodeRuneInString(rest)
	if r == utf8.RuneError && size <= 1 {
		return true
	}
	return unicode.In(r, unicode.Mn, unicode.Me, unicode.Mc) || strings.HasPrefix(rest, joiner) || unicode.Is(unicode.Variation_Selector, r)
}

package reindex_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"

	"github.com/seed-7a112592/gristmill/internal/backend/llm"
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// spaceTracker determines by the scores of an answer which space it comes from. Vectors of the two
// models have different lengths, so a passage has the same score in both spaces only by chance.
type spaceTracker struct {
	mu       sync.Mutex
	scores   map[document.Model]map[string]float64 // by passage
	expected []document.Model                      // models of the active spaces, in order of time
	seen     int                                   // index in expected of the newest model that has answered
}

// precision is the precision of scores: vectors have single precision.
const precision = 1e-4

// expectSwitch adds the model whose space is expected to become active next. After its first
// answer, the previous space must not answer any more.
func (s *spaceTracker) expectSwitch(model document.Model) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expected = append(s.expected, model)
}

// searchBegun is called when a search starts. It returns the index of the oldest model that may
// answer it.
func (s *spaceTracker) searchBegun() (turn int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// checkAnswer checks the answer to a search for which searchBegun returned turn.
func (s *spaceTracker) checkAnswer(turn int, hits []document.Hit) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ; turn < len(s.expected); turn++ {
		if s.allFrom(s.expected[turn], hits) {
			s.seen = max(s.seen, turn)
			return nil
		}
	}
	var counts []string
	for _, model := range []document.Model{smallModel, largeModel} {
		n := 0
		for _, hit := range hits {
			if s.hasScore(model, hit) {
				n++
			}
		}
		counts = append(counts, fmt.Sprintf("%d of %d hits are from %s", n, len(hits), model.Name))
	}
	return fmt.Errorf("the hits are from several spaces, or from one that is not active any more: %v", counts)
}

// confirmSwitch records that the last expected space is active: it must answer every later search.
func (s *spaceTracker) confirmSwitch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = len(s.expected) - 1
}

// allFrom reports whether all hits are from the model's space.
func (s *spaceTracker) allFrom(model document.Model, hits []document.Hit) bool {
	for _, hit := range hits {
		if !s.hasScore(model, hit) {
			return false
		}
	}
	return true
}

// hasScore reports whether the hit has the score of the model's vectors.
func (s *spaceTracker) hasScore(model document.Model, hit document.Hit) bool {
	text := embeddedText(hit)
	score, known := s.scores[model][text]
	if !known {
		score = similarity(model, question, text)
		if s.scores == nil {
			s.scores = map[document.Model]map[string]float64{}
		}
		if s.scores[model] == nil {
			s.scores[model] = map[string]float64{}
		}
		s.scores[model][text] = score
	}
	return math.Abs(hit.Score-score) < precision
}

// embeddedText returns the embedded text of a hit. It contains the document's title unless the
// heading path begins with it.
func embeddedText(hit document.Hit) string {
	title := markdown.PlainText(document.OwnTitle(hit.Title, hit.Key, nil))
	if len(hit.HeadingPath) > 0 && strings.EqualFold(hit.HeadingPath[0], title) {
		title = ""
	}
	return document.PassageText{Title: title, HeadingPath: hit.HeadingPath, Context: hit.Context, Content: hit.Content}.EmbeddingInput()
}

// similarity returns the cosine of the provider's vectors for two texts.
func similarity(model document.Model, a, b string) (cosine float64) {
	vectors, err := llm.LocalEmbedder{}.Embed(context.Background(), model, []string{a, b})
	if err != nil {
		panic(err) // cannot fail: the context never ends
	}
	for i := range vectors[0] {
		cosine += float64(vectors[0][i]) * float64(vectors[1][i])
	}
	return cosine
}

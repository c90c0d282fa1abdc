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

// spaceTracker tell by the scores of an answer which space it comes from: vectors of
// the two models are of different length, so the same passage is as near to the
// question in the one as it is in the other by chance only.
type spaceTracker struct {
	mu       sync.Mutex
	scores   map[document.Model]map[string]float64 // by passage
	expected []document.Model                      // which is to answer, one after the other
	seen     int                                   // the last of the turns that is known to have come
}

// precision is how exactly a score is known: vectors have single precision.
const precision = 1e-4

// expectSwitch has the model's space answer searches from some time on, and the one
// that did until now not any more once it has.
func (s *spaceTracker) expectSwitch(model document.Model) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expected = append(s.expected, model)
}

// searchBegun notes that a search begins, and returns by whose turn it may be
// answered at the earliest.
func (s *spaceTracker) searchBegun() (turn int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// checkAnswer notes an answer to a search that began at a turn.
func (s *spaceTracker) checkAnswer(turn int, hits []document.Hit) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ; turn < len(s.expected); turn++ {
		if s.allFrom(s.expected[turn], hits) {
			s.seen = max(s.seen, turn)
			return nil
		}
	}
	var is []string
	for _, model := range []document.Model{smallModel, largeModel} {
		n := 0
		for _, hit := range hits {
			if s.hasScore(model, hit) {
				n++
			}
		}
		is = append(is, fmt.Sprintf("%d of %d hits are of %s", n, len(hits), model.Name))
	}
	return fmt.Errorf("the answer is of no one space, or of one that is over: %v", is)
}

// confirmSwitch notes that the last of the turns has come: whatever is asked from
// now on is answered by it.
func (s *spaceTracker) confirmSwitch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = len(s.expected) - 1
}

// allFrom reports whether all hits are of the model's space.
func (s *spaceTracker) allFrom(model document.Model, hits []document.Hit) bool {
	for _, hit := range hits {
		if !s.hasScore(model, hit) {
			return false
		}
	}
	return true
}

// hasScore reports whether the hit has the score that it must have by the model.
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

// embeddedText returns what is embedded of a hit: with the document's own title
// where its heading path does not begin with that.
func embeddedText(hit document.Hit) string {
	title := markdown.PlainText(document.OwnTitle(hit.Title, hit.Key, nil))
	if len(hit.HeadingPath) > 0 && strings.EqualFold(hit.HeadingPath[0], title) {
		title = ""
	}
	return document.PassageText{Title: title, HeadingPath: hit.HeadingPath, Context: hit.Context, Content: hit.Content}.EmbeddingInput()
}

// similarity is the cosine of the vectors that the provider gives two texts.
func similarity(model document.Model, a, b string) (cosine float64) {
	vectors, err := llm.LocalEmbedder{}.Embed(context.Background(), model, []string{a, b})
	if err != nil {
		panic(err) // it fails with its context only
	}
	for i := range vectors[0] {
		cosine += float64(vectors[0][i]) * float64(vectors[1][i])
	}
	return cosine
}

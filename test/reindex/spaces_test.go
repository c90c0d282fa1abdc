package reindex_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"

	"github.com/seed-7a112592/gristmill/pkg/backend/llm"
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/markdown"
)

// spaces tell by the scores of an answer which space it comes from: vectors of
// the two models are of different length, so the same passage is as near to the
// question in the one as it is in the other by chance only.
type spaces struct {
	mu     sync.Mutex
	scores map[document.Model]map[string]float64 // by passage
	turns  []document.Model                      // which is to answer, one after the other
	seen   int                                   // the last of the turns that is known to have come
}

// precision is how exactly a score is known: vectors have single precision.
const precision = 1e-4

// turn has the model's space answer searches from some time on, and the one
// that did until now not any more once it has.
func (s *spaces) turn(model document.Model) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turns = append(s.turns, model)
}

// begin notes that a search begins, and returns by whose turn it may be
// answered at the earliest.
func (s *spaces) begin() (turn int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// end notes an answer to a search that began at a turn.
func (s *spaces) end(turn int, hits []document.Hit) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ; turn < len(s.turns); turn++ {
		if s.from(s.turns[turn], hits) {
			s.seen = max(s.seen, turn)
			return nil
		}
	}
	var is []string
	for _, model := range []document.Model{small, large} {
		n := 0
		for _, hit := range hits {
			if s.score(model, hit) {
				n++
			}
		}
		is = append(is, fmt.Sprintf("%d of %d hits are of %s", n, len(hits), model.Name))
	}
	return fmt.Errorf("the answer is of no one space, or of one that is over: %v", is)
}

// switched notes that the last of the turns has come: whatever is asked from
// now on is answered by it.
func (s *spaces) switched() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = len(s.turns) - 1
}

// from reports whether all hits are of the model's space.
func (s *spaces) from(model document.Model, hits []document.Hit) bool {
	for _, hit := range hits {
		if !s.score(model, hit) {
			return false
		}
	}
	return true
}

// score reports whether the hit has the score that it must have by the model.
func (s *spaces) score(model document.Model, hit document.Hit) bool {
	text := embedded(hit)
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

// embedded returns what is embedded of a hit: with the document's own title
// where its heading path does not begin with that.
func embedded(hit document.Hit) string {
	title := markdown.PlainText(document.OwnTitle(hit.Title, hit.Key, nil))
	if len(hit.HeadingPath) > 0 && strings.EqualFold(hit.HeadingPath[0], title) {
		title = ""
	}
	return document.Text{Title: title, HeadingPath: hit.HeadingPath, Context: hit.Context, Content: hit.Content}.Embedding()
}

// similarity is the cosine of the vectors that the provider gives two texts.
func similarity(model document.Model, a, b string) (cosine float64) {
	vectors, err := llm.Local{}.Embed(context.Background(), model, []string{a, b})
	if err != nil {
		panic(err) // it fails with its context only
	}
	for i := range vectors[0] {
		cosine += float64(vectors[0][i]) * float64(vectors[1][i])
	}
	return cosine
}

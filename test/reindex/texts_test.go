package reindex_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tiktoken-go/tokenizer"

	"github.com/seed-7a112592/gristmill/internal/test/audit"
	"github.com/seed-7a112592/gristmill/pkg/chunk"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// sentTexts returns which texts a model has embedded, and how often, but for the
// question.
func (m *testEnv) sentTexts(model document.Model) map[string]int {
	texts := m.provider.EmbeddedTextsByModel()[model]
	delete(texts, question)
	return texts
}

// total returns how many there are, each as often as it was sent.
func total(texts map[string]int) (n int) {
	for _, times := range texts {
		n += times
	}
	return n
}

// publishedTexts returns every text that is stored with a vector for readers, once.
func (m *testEnv) publishedTexts() map[string]int {
	m.t.Helper()
	return audit.PublishedTexts(m.t, m.installation)
}

// split returns every text that files which were uploaded are cut into, once.
func (m *testEnv) split(files []file, tokens int) map[string]int {
	m.t.Helper()
	texts := map[string]int{}
	sources := audit.Sources(m.t, m.installation)
	for _, f := range files {
		for p, err := range chunk.Split(strings.NewReader(f.text), chunk.OptionsOf(document.Chunking{Tokens: tokens}, sources[f.key])) {
			if err != nil {
				m.t.Fatal(err)
			}
			texts[p.EmbeddingInput()] = 1
		}
	}
	return texts
}

// subtractTexts returns texts without what is among others, as often as it is.
func subtractTexts(texts, others map[string]int) map[string]int {
	rest := map[string]int{}
	maps.Copy(rest, texts)
	for text, times := range others {
		if rest[text] -= times; rest[text] <= 0 {
			delete(rest, text)
		}
	}
	return rest
}

// excerpt says how many texts there are, and how some of them begin.
func excerpt(texts map[string]int) string {
	const most, length = 3, 80
	begin := slices.Sorted(maps.Keys(texts))
	for i, text := range begin {
		begin[i] = fmt.Sprintf("%.*q", length, text)
	}
	return fmt.Sprintf("%d texts, such as %s", total(texts), strings.Join(begin[:min(most, len(begin))], ", "))
}

// wantTexts checks that a model was sent each of the texts once, and one text
// besides.
func wantTexts(t *testing.T, what string, sent, texts map[string]int) {
	t.Helper()
	if rest := subtractTexts(sent, texts); total(rest) != 1 {
		t.Errorf("%s: beside what is needed %s were sent, want one to see whether the model is there", what, excerpt(rest))
	}
	if missing := subtractTexts(texts, sent); len(missing) > 0 {
		t.Errorf("%s: of %d texts these were not sent: %s", what, len(texts), excerpt(missing))
	}
}

// wantNear checks a number that may be reckoned roughly.
func wantNear(t *testing.T, what string, got int64, want int) {
	t.Helper()
	t.Logf("%d %s were estimated, and there are %d", got, what, want)
	if float64(got) < 0.8*float64(want) || float64(got) > 1.2*float64(want) {
		t.Errorf("%d %s were estimated, and there are %d", got, what, want)
	}
}

// tokens returns how many tokens texts have.
func tokens(t *testing.T, texts map[string]int) (n int) {
	t.Helper()
	codec, err := tokenizer.Get(tokenizer.Cl100kBase)
	if err != nil {
		t.Fatal(err)
	}
	for text := range texts {
		count, err := codec.Count(text)
		if err != nil {
			t.Fatal(err)
		}
		n += count
	}
	return n
}

// snapshot returns what the servers hold, but for Redis, whose keys come and
// go.
func snapshot(m *testEnv) map[string]string {
	m.t.Helper()
	held := audit.Snapshot(m.t, m.installation)
	delete(held, "redis keys")
	return held
}

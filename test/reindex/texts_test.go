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

// sentTexts returns the texts that a model has embedded, without the question, and how often.
func (m *testEnv) sentTexts(model document.Model) map[string]int {
	texts := m.provider.EmbeddedTextsByModel()[model]
	delete(texts, question)
	return texts
}

// total returns the sum of the counts.
func total(texts map[string]int) (n int) {
	for _, times := range texts {
		n += times
	}
	return n
}

// publishedTexts returns the embedded text of each passage that readers see, once.
func (m *testEnv) publishedTexts() map[string]int {
	m.t.Helper()
	return audit.PublishedTexts(m.t, m.installation)
}

// split returns the texts that uploaded files are split into, each once.
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

// subtractTexts returns texts minus the counts of others.
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

// excerpt returns the number of texts and the beginning of some of them.
func excerpt(texts map[string]int) string {
	const maxTexts, length = 3, 80
	excerpts := slices.Sorted(maps.Keys(texts))
	for i, text := range excerpts {
		excerpts[i] = fmt.Sprintf("%.*q", length, text)
	}
	return fmt.Sprintf("%d texts, such as %s", total(texts), strings.Join(excerpts[:min(maxTexts, len(excerpts))], ", "))
}

// wantTexts checks that a model was sent each of the texts once, and one probe.
func wantTexts(t *testing.T, what string, sent, texts map[string]int) {
	t.Helper()
	if rest := subtractTexts(sent, texts); total(rest) != 1 {
		t.Errorf("%s: in addition to the needed texts, %s were sent, want one probe", what, excerpt(rest))
	}
	if missing := subtractTexts(texts, sent); len(missing) > 0 {
		t.Errorf("%s: of %d texts, these were not sent: %s", what, len(texts), excerpt(missing))
	}
}

// wantNear checks that an estimate differs from the exact number by at most 20 %.
func wantNear(t *testing.T, what string, got int64, want int) {
	t.Helper()
	t.Logf("%d %s were estimated, there are %d", got, what, want)
	if float64(got) < 0.8*float64(want) || float64(got) > 1.2*float64(want) {
		t.Errorf("%d %s were estimated, want %d ± 20 %%", got, what, want)
	}
}

// tokens returns the number of tokens in texts.
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

// snapshot returns what the servers hold, except Redis, whose keys change by themselves.
func snapshot(m *testEnv) map[string]string {
	m.t.Helper()
	data := audit.Snapshot(m.t, m.installation)
	delete(data, "redis keys")
	return data
}

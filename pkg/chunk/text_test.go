package chunk

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/rivo/uniseg"
)

func contents(all []Passage) []string {
	var s []string
	for _, p := range all {
		s = append(s, p.Content)
	}
	return s
}

// TestSentencesInAnyScript splits lines that are too long at the ends of sentences, in several
// scripts.
func TestSentencesInAnyScript(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, sentence, space string }{
		{"English", "The stones must not touch, or they wear.", " "},
		{"Chinese", "磨石不能相碰，否则会磨损。", ""},
		{"Japanese", "石が触れると、すり減ります！", ""},
		{"Korean", "돌이 닿으면 닳습니다.", " "},
		{"Hindi", "पत्थर छूने नहीं चाहिए।", " "},
		{"Arabic", "هل تلمس الحجارة بعضها؟", " "},
		{"Russian", "Камни не должны касаться.", " "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			paragraph := strings.TrimSpace(strings.Repeat(tt.sentence+tt.space, 9))
			limit := countTokens(tt.sentence+tt.space)*3 + 2
			for i, got := range contents(split(t, paragraph, Options{Tokens: limit})) {
				if got != strings.TrimSpace(strings.Repeat(tt.sentence+tt.space, 3)) {
					t.Errorf("passage %d is %q, want three sentences", i, got)
				}
			}
		})
	}
}

// TestClustersAreNotSplit splits text without words. Grapheme clusters, which readers see as one
// character, must not be split.
func TestClustersAreNotSplit(t *testing.T) {
	t.Parallel()
	for _, cluster := range []string{"👨‍👩‍👧‍👦", "🇩🇪", "e\u0301\u0327", "각"} {
		limit := 3*countTokens(cluster) + 1
		for i, got := range contents(split(t, strings.Repeat(cluster, 50), Options{Tokens: limit})) {
			if n := uniseg.GraphemeClusterCount(got); n*len(cluster) != len(got) {
				t.Errorf("passage %d has a part of %s: %q", i, cluster, got)
			}
		}
	}
}

// TestClusterTooLarge splits a cluster that is too large for a passage. It must be split between
// runes.
func TestClusterTooLarge(t *testing.T) {
	t.Parallel()
	for i, got := range contents(split(t, "a"+strings.Repeat("\u0301", 500), Options{Tokens: 20})) {
		if !utf8.ValidString(got) {
			t.Errorf("passage %d has a part of a rune: %q", i, got)
		}
	}
}

// TestRuneTooLarge splits runes that have more tokens than a passage. Each must be a passage of its
// own.
func TestRuneTooLarge(t *testing.T) {
	t.Parallel()
	got := contents(split(t, "𒀀𒀀", Options{Tokens: 1}))
	if diff := cmp.Diff([]string{"𒀀", "𒀀"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestLongWord splits very long words. It is slow if the count of tokens becomes quadratic in the
// length of a word, as a simple merge of byte pairs is.
func TestLongWord(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"a", "-", "é", "好", "aB3"} {
		src := strings.Repeat(word, 40<<10/len(word))
		all := split(t, src, Options{})
		if n, need := len(all), countTokens(src)/defaultTokens; n > need+need/4+2 {
			t.Errorf("%q repeated: %d passages where %d are enough", word, n, need)
		}
	}
}

package document

import "testing"

func TestEmbeddingInput(t *testing.T) {
	t.Parallel()
	path, content := []string{"A", "B"}, "![x](data:image/png;base64,AAAA) y"
	picture := []Range{{27, 31}}
	for _, tt := range []struct {
		name string
		text PassageText
		want string
	}{
		{"content alone", PassageText{Content: "c"}, "c"},
		{"under headings", PassageText{HeadingPath: path, Content: "c"}, "A > B\n\nc"},
		{"in a table", PassageText{HeadingPath: path, Context: "|a|\n|-|", Content: "|1|"}, "A > B\n\n|a|\n|-|\n|1|"},
		{"a title", PassageText{Title: "T", Content: "c"}, "T\n\nc"},
		{"a title above headings", PassageText{Title: "T", HeadingPath: path, Content: "c"}, "T > A > B\n\nc"},
		{"a picture", PassageText{Content: content, Omitted: picture}, "![x](data:image/png;base64,) y"},
		{"all omitted", PassageText{HeadingPath: path, Content: " AAAA ", Omitted: []Range{{1, 5}}}, "A > B\n\n…"},
		{"omitted at both ends", PassageText{Content: "import a\n\nb\n\nimport c", Omitted: []Range{{0, 9}, {13, 21}}}, "b\n\n"},
		{"omitted before code", PassageText{Content: "import a\n\n  b", Omitted: []Range{{0, 9}}}, "  b"},
	} {
		if got := tt.text.EmbeddingInput(); got != tt.want {
			t.Errorf("%s: EmbeddingInput() = %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestContentHash checks that the hash of a passage without title and omitted ranges is the hash of
// its embedding input, as in earlier releases, and that different passages with the same embedding
// input have different hashes.
func TestContentHash(t *testing.T) {
	t.Parallel()
	plain := PassageText{HeadingPath: []string{"A"}, Content: "c"}
	if plain.ContentHash() != HashText("A\n\nc") {
		t.Error("the hash of a passage without title and omitted ranges is not the hash of its embedding input")
	}
	titled := PassageText{Title: "A", Content: "c"}
	picture := PassageText{Content: "(data:;base64,AAAA)", Omitted: []Range{{14, 18}}}
	other := PassageText{Content: "(data:;base64,BBBB)", Omitted: []Range{{14, 18}}}
	if titled.ContentHash() == plain.ContentHash() || titled.EmbeddingInput() != plain.EmbeddingInput() {
		t.Error("want the same embedding input and different hashes for a title and a heading")
	}
	if picture.ContentHash() == other.ContentHash() || picture.EmbeddingInput() != other.EmbeddingInput() {
		t.Error("want the same embedding input and different hashes for two pictures")
	}
}

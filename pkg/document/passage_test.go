package document

import "testing"

func TestEmbedding(t *testing.T) {
	t.Parallel()
	path, content := []string{"A", "B"}, "![x](data:image/png;base64,AAAA) y"
	picture := []Range{{27, 31}}
	for _, tt := range []struct {
		name string
		text Text
		want string
	}{
		{"content alone", Text{Content: "c"}, "c"},
		{"under headings", Text{HeadingPath: path, Content: "c"}, "A > B\n\nc"},
		{"in a table", Text{HeadingPath: path, Context: "|a|\n|-|", Content: "|1|"}, "A > B\n\n|a|\n|-|\n|1|"},
		{"a title", Text{Title: "T", Content: "c"}, "T\n\nc"},
		{"a title above headings", Text{Title: "T", HeadingPath: path, Content: "c"}, "T > A > B\n\nc"},
		{"a picture", Text{Content: content, Omitted: picture}, "![x](data:image/png;base64,) y"},
		{"all omitted", Text{HeadingPath: path, Content: " AAAA ", Omitted: []Range{{1, 5}}}, "A > B\n\n…"},
		{"omitted at both ends", Text{Content: "import a\n\nb\n\nimport c", Omitted: []Range{{0, 9}, {13, 21}}}, "b\n\n"},
		{"omitted before code", Text{Content: "import a\n\n  b", Omitted: []Range{{0, 9}}}, "  b"},
	} {
		if got := tt.text.Embedding(); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestName checks that the names of passages without title and omission are
// what they always were, and that what is embedded alike but reads otherwise
// has names of its own.
func TestName(t *testing.T) {
	t.Parallel()
	plain := Text{HeadingPath: []string{"A"}, Content: "c"}
	if plain.Name() != HashText("A\n\nc") {
		t.Error("the name of a passage without title and omission is not the hash of what is embedded")
	}
	titled := Text{Title: "A", Content: "c"}
	picture := Text{Content: "(data:;base64,AAAA)", Omitted: []Range{{14, 18}}}
	other := Text{Content: "(data:;base64,BBBB)", Omitted: []Range{{14, 18}}}
	if titled.Name() == plain.Name() || titled.Embedding() != plain.Embedding() {
		t.Error("a title is not told from a heading")
	}
	if picture.Name() == other.Name() || picture.Embedding() != other.Embedding() {
		t.Error("two pictures have one name")
	}
}

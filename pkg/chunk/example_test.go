package chunk_test

import (
	"fmt"
	"strings"

	"github.com/seed-7a112592/gristmill/pkg/chunk"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

const handbook = `# Mill handbook

The mill grinds wheat and rye.

## Stones

Dress the stones each spring. Hold the tool flat.

## Water

Open the gate slowly.
`

// A section that does not fit into a passage is split at its subsections.
func ExampleSplit() {
	for passage, err := range chunk.Split(strings.NewReader(handbook), chunk.Options{Tokens: 24}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%d: bytes %d to %d, %d tokens, under %s\n", passage.Ordinal, passage.Start, passage.End,
			passage.Tokens, strings.Join(passage.HeadingPath, " > "))
		fmt.Printf("%q\n", passage.Content)
	}
	// Output:
	// 0: bytes 0 to 47, 13 tokens, under Mill handbook
	// "# Mill handbook\n\nThe mill grinds wheat and rye."
	// 1: bytes 49 to 109, 15 tokens, under Mill handbook > Stones
	// "## Stones\n\nDress the stones each spring. Hold the tool flat."
	// 2: bytes 111 to 142, 8 tokens, under Mill handbook > Water
	// "## Water\n\nOpen the gate slowly."
}

// With the zero Options a passage has up to 400 tokens. EmbeddingInput is the text to send to a
// model, and ContentHash shows whether a passage has changed since it was embedded.
func ExampleSplit_defaults() {
	for passage, err := range chunk.Split(strings.NewReader("# Stones\n\nDress them each spring.\n"), chunk.Options{}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(passage.EmbeddingInput())
		fmt.Printf("hash %.4x\n", passage.ContentHash())
	}
	// Output:
	// Stones
	//
	// # Stones
	//
	// Dress them each spring.
	// hash 5f6fd779
}

// OptionsOf gives the options with which the server splits a document.
func ExampleOptionsOf() {
	chunking := document.Chunking{Tokens: 400, Overlap: 40}
	source := document.SourceInfo{Title: "Mill handbook", MediaType: "text/plain", Key: "handbook.txt"}
	for passage, err := range chunk.Split(strings.NewReader("Open the gate slowly.\n"), chunk.OptionsOf(chunking, source)) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(passage.EmbeddingInput())
	}
	// Output:
	// Mill handbook
	//
	// Open the gate slowly.
}

// Count may be any function that counts tokens; this one counts words.
func ExampleOptions_count() {
	words := func(s string) int { return len(strings.Fields(s)) }
	options := chunk.Options{Tokens: 8, Count: words}
	for passage, err := range chunk.Split(strings.NewReader("One two three. Four five six. Seven eight nine."), options) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(passage.Tokens, passage.Content)
	}
	// Output:
	// 6 One two three. Four five six.
	// 3 Seven eight nine.
}

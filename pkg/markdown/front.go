package markdown

// HeadSize is how much of a document [FrontMatter] needs to see, in bytes.
// Front matter that does not end within it is text.
const HeadSize = 64 << 10

// FrontMatter tells whether a document begins with YAML front matter: a line
// `---` at its first byte, or behind a byte order mark, up to a line `---` or
// `...`. It returns the bytes between those lines and the offset at which the
// body begins. Without front matter yaml is nil and body is behind the byte
// order mark. The head is the first HeadSize bytes, or all of a shorter document.
func FrontMatter(head []byte) (yaml []byte, body int) { return nil, 0 }

// FirstHeading returns the text of the first heading in the head of a
// document, or an empty string.
func FirstHeading(head []byte) string { return "" }

// Package markdown splits a stream of CommonMark, with the GitHub extensions, into its top-level
// blocks, and reads front matter and headings. It never holds more of the document than a fixed
// window.
//
// [Scan] yields the lines of a document as [Piece] values, each with the kind of its block and the
// [Boundary] at which it begins. [ParseFrontMatter] reads metadata, [PlainText] removes inline
// markup.
//
// Scan follows the block phase of the specification
// (https://spec.commonmark.org/0.31.2/#phase-1-block-structure) line by line. It keeps the stack of
// open containers and the state of the innermost leaf, and never builds a tree. It parses inline
// markup in headings only.
//
// The package is part of the public API of this module, with packages document, chunk and client;
// package chunk is built on it. Exported names are changed or removed only with a note to
// importers. Fields and constants may be added without one: use keyed struct literals, and expect
// unknown kinds.
package markdown

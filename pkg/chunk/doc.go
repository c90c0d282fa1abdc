// Package chunk splits documents, markdown or plain text, into passages for embedding.
//
// [Split] does all of it. The zero value of [Options] splits CommonMark with the GitHub extensions
// into passages of at most 400 tokens (cl100k_base) without overlap.
//
// Sections decide where passages end. A section, which is a heading with everything below it, is
// one passage if it fits into one. Otherwise the text before its first subsection is packed block
// by block, and each subsection is split by the same rule. Headings without text of their own go
// with the text after them. No other passage crosses a heading, so an edit changes only passages of
// the section that it is in.
//
// The package is part of the public API of this module, with packages document, markdown and
// client. Exported names and the rules above are changed only with a note to importers: passages
// that change must be embedded again. Fields may be added without a note: use keyed struct
// literals.
package chunk

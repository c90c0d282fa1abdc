package document

import "slices"

// Condition is what must hold of a document for it to be replaced or deleted:
// that its newest version has one of some hashes, or none of them. The zero
// value always holds.
type Condition struct {
	Match     []string // SHA-256 of the newest version, or AnyVersion; nil for no condition
	NoneMatch []string // likewise, that it must not be
}

// AnyVersion stands for whatever version there is.
const AnyVersion = "*"

// Holds reports whether the condition holds of a document whose newest version
// has that hash, or of none, where it is empty.
func (c Condition) Holds(sha256 string) bool {
	return (c.Match == nil || names(c.Match, sha256)) && !names(c.NoneMatch, sha256)
}

// NeedsDocument reports whether the condition cannot hold where there is no
// document.
func (c Condition) NeedsDocument() bool { return c.Match != nil }

// names reports whether there is a version, and hashes are about it.
func names(hashes []string, sha256 string) bool {
	return sha256 != "" && (slices.Contains(hashes, sha256) || slices.Contains(hashes, AnyVersion))
}

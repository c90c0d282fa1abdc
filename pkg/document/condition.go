package document

import (
	"errors"
	"fmt"
	"slices"
)

// Condition is a precondition for replacing or deleting a document, on the SHA-256 of its newest
// version (lower-case hex). The zero value always holds.
type Condition struct {
	Match     []string // the newest version must have one of these, or AnyVersion; nil for no condition
	NoneMatch []string // the newest version must have none of these; AnyVersion: there must be no document
}

// AnyVersion matches every version.
const AnyVersion = "*"

// Check returns nil if the condition holds for a document whose newest version has the hash, or for
// no document if the hash is empty. Otherwise the error says which part failed and why.
func (c Condition) Check(sha256 string) error {
	failed := ""
	switch {
	case c.Match != nil && !matchesAny(c.Match, sha256):
		failed = "If-Match"
	case matchesAny(c.NoneMatch, sha256):
		failed = "If-None-Match"
	default:
		return nil
	}
	if sha256 == "" {
		return errors.New(failed + " failed: no document has this key")
	}
	return fmt.Errorf("%s failed: the newest version has the ETag %q; get the document and decide again", failed, sha256)
}

// NeedsDocument reports whether the condition fails if there is no document.
func (c Condition) NeedsDocument() bool { return c.Match != nil }

// matchesAny reports whether there is a version and hashes has its hash or AnyVersion.
func matchesAny(hashes []string, sha256 string) bool {
	return sha256 != "" && (slices.Contains(hashes, sha256) || slices.Contains(hashes, AnyVersion))
}

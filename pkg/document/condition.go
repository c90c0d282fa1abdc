package document

import (
	"errors"
	"fmt"
	"slices"
)

// Condition is what must hold of a document for it to be replaced or deleted:
// that its newest version has one of some hashes, or none of them. The zero
// value always holds.
type Condition struct {
	Match     []string // SHA-256 of the newest version, or AnyVersion; nil for no condition
	NoneMatch []string // SHA-256 that the newest version must not have, or AnyVersion
}

// AnyVersion stands for whatever version there is.
const AnyVersion = "*"

// Check returns why the condition does not hold of a document whose newest
// version has the hash, or of no document if the hash is empty; nil if it holds.
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
		return errors.New(failed + " does not hold: there is no document under the key")
	}
	return fmt.Errorf("%s does not hold: the version uploaded last has the ETag %q; get the document and decide again", failed, sha256)
}

// NeedsDocument reports whether the condition cannot hold where there is no
// document.
func (c Condition) NeedsDocument() bool { return c.Match != nil }

// matchesAny reports whether there is a version, and hashes are about it.
func matchesAny(hashes []string, sha256 string) bool {
	return sha256 != "" && (slices.Contains(hashes, sha256) || slices.Contains(hashes, AnyVersion))
}

package vector

import (
	"fmt"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// TruncationWarning returns the warning about a passage that is too long for the model. The
// vector covers the first embedded bytes of its text, which has all bytes.
func TruncationWarning(entry ManifestEntry, embedded, all int) document.Warning {
	return document.Warning{
		Code:   "passage_truncated",
		Detail: fmt.Sprintf("passage %d is too long for the model: the first %d of %d bytes are embedded", entry.Ordinal, embedded, all),
		Start:  entry.Start, End: entry.End,
	}
}

// PassageAt is the text of a passage with its manifest entry.
type PassageAt struct {
	ManifestEntry
	document.PassageText
}

// ManifestEntry is the position of a passage in one version of a document. Start and End are
// byte offsets in the source.
type ManifestEntry struct {
	Hash    document.ContentHash
	Ordinal int
	Start   int64
	End     int64
}

// NewManifestEntry returns the entry of a passage at the byte range [start, end) of its source.
func NewManifestEntry(ordinal int, start, end int64, text document.PassageText) ManifestEntry {
	return ManifestEntry{Hash: text.ContentHash(), Ordinal: ordinal, Start: start, End: end}
}

// EmbeddedPassage is a passage with its vector, ready to be stored under its hash.
type EmbeddedPassage struct {
	Hash document.ContentHash
	document.PassageText
	Vector []float32

	// EmbeddedBytes is the number of bytes of Embedding() that the vector covers if the model
	// does not take the whole text; 0 if it covers all.
	EmbeddedBytes int
}

// Batch is what one write of the knowledge step stores: the passages that are new to the space,
// and the manifest entries of new and reused passages.
type Batch struct {
	New     []EmbeddedPassage
	Entries []ManifestEntry
}

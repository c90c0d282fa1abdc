package vector

import (
	"fmt"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// TruncationWarning returns the warning about a passage that is too long for the model:
// the vector is of the first embedded bytes of its text, which has all bytes.
func TruncationWarning(place ManifestEntry, embedded, all int) document.Warning {
	return document.Warning{
		Code:   "passage_truncated",
		Detail: fmt.Sprintf("passage %d is too long for the model: the first %d of %d bytes are embedded", place.Ordinal, embedded, all),
		Start:  place.Start, End: place.End,
	}
}

// PassageAt is a passage with its place.
type PassageAt struct {
	ManifestEntry
	document.PassageText
}

// ManifestEntry is where a passage stands in one version of one document.
type ManifestEntry struct {
	Hash    document.ContentHash
	Ordinal int
	Start   int64
	End     int64
}

// NewManifestEntry returns the entry of a passage that stands at a byte range of
// its source.
func NewManifestEntry(ordinal int, start, end int64, text document.PassageText) ManifestEntry {
	return ManifestEntry{Hash: text.ContentHash(), Ordinal: ordinal, Start: start, End: end}
}

// EmbeddedPassage is a passage with its vector, ready to be stored under its hash.
type EmbeddedPassage struct {
	Hash document.ContentHash
	document.PassageText
	Vector []float32

	// EmbeddedBytes is how many bytes of Embedding() the vector is of, where
	// the model does not take all of it; 0 for all.
	EmbeddedBytes int
}

// Batch is what one write of the knowledge step stores: passages that are new
// to the space, and the places of these and of reused ones.
type Batch struct {
	New     []EmbeddedPassage
	Entries []ManifestEntry
}

// Package verification holds what the comparison of documents with what is stored of
// them reads, how far it is, and what it finds.
package verification

import (
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/vector"
)

// RetainedVersion is a version that must be whole: the one that readers see of a document,
// or its newest one.
type RetainedVersion struct {
	DocumentID uuid.UUID
	Version    int
	Collection string
	Key        string
	Original   original.Ref
	Published  bool         // readers see it
	Space      vector.Space // that they see it in
	Passages   int64        // that it is said to have there; -1 when it is not said to stand there
	Damage     string
}

// Filter narrows kept versions; zero fields do not narrow.
type Filter struct {
	Collection string
	DocumentID uuid.UUID
}

// ManifestPassage is a place of a version, and the passage that stands there.
type ManifestPassage struct {
	vector.ManifestEntry
	Content    string
	Dimensions int // length of its vector; -1 when the passage is lost
}

// Progress is how far the pass over a tenant's documents is that compares
// them with what is stored of them.
type Progress struct {
	Checkpoint uuid.UUID // the last document that is done
	Documents  int64
	Bytes      int64 // of originals
	Findings   int64
	StartedAt  time.Time
}

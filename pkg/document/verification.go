package document

import (
	"time"

	"github.com/google/uuid"
)

// RetainedVersion is a version that must be whole: the one that readers see of a document,
// or its newest one.
type RetainedVersion struct {
	DocumentID uuid.UUID
	Version    int
	Collection string
	Key        string
	Original   Original
	Published  bool  // readers see it
	Space      Space // that they see it in
	Passages   int64 // that it is said to have there; -1 when it is not said to stand there
	Damage     string
}

// RetainedVersionFilter narrows kept versions; zero fields do not narrow.
type RetainedVersionFilter struct {
	Collection string
	DocumentID uuid.UUID
}

// ManifestPassage is a place of a version, and the passage that stands there.
type ManifestPassage struct {
	ManifestEntry
	Content    string
	Dimensions int // length of its vector; -1 when the passage is lost
}

// VerificationProgress is how far the pass over a tenant's documents is that compares
// them with what is stored of them.
type VerificationProgress struct {
	Checkpoint uuid.UUID // the last document that is done
	Documents  int64
	Bytes      int64 // of originals
	Findings   int64
	StartedAt  time.Time
}

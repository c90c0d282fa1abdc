// Package verification holds the types of verification, which compares documents with the data
// that is stored for them: its input, its progress and its findings.
package verification

import (
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/vector"
)

// RetainedVersion is a version that must be complete: the published version of a document, or
// its newest version.
type RetainedVersion struct {
	DocumentID uuid.UUID
	Version    int
	Collection string
	Key        string
	Original   original.Ref
	Published  bool         // whether it is the published version
	Space      vector.Space // the active space of its collection
	Passages   int64        // recorded number of its passages in Space; -1 if it is not recorded as complete there
	Damage     string
}

// Filter selects retained versions. Zero fields select all.
type Filter struct {
	Collection string
	DocumentID uuid.UUID
}

// ManifestPassage is a manifest entry of a version, with the passage that it refers to.
type ManifestPassage struct {
	vector.ManifestEntry
	Content    string
	Dimensions int // length of its vector; -1 if the passage is missing
}

// Progress is the progress of a pass that verifies the documents of a tenant.
type Progress struct {
	Checkpoint uuid.UUID // the last verified document
	Documents  int64
	Bytes      int64 // of originals
	Findings   int64
	StartedAt  time.Time
}

package garbage

import (
	"fmt"

	"github.com/google/uuid"
)

// ScanCursor is how far a search of all rows is. The zero value is its
// beginning.
type ScanCursor struct {
	Stage      ScanStage `json:"stage,omitempty"`
	DocumentID uuid.UUID `json:"document,omitzero"` // the last one that was looked at
	Version    int       `json:"version,omitempty"`
	SpaceID    int64     `json:"space,omitempty"`
	Hash       []byte    `json:"hash,omitempty"` // of a passage of the space, or a section
}

// ScanStage is a kind of row that is searched.
type ScanStage string

// The stages in order; SearchEnded follows the last one.
const (
	ScanVersions ScanStage = "" // of documents
	ScanSpaces   ScanStage = "spaces"
	ScanManifest ScanStage = "manifest"
	ScanPassages ScanStage = "passages"
	ScanSections ScanStage = "sections"
	ScanEnded    ScanStage = "ended"
)

// ScanCounts counts what a search found that no list named.
type ScanCounts struct {
	Versions int
	Spaces   int
	Passages int
	Sections int
}

// Add adds what another part of the search found.
func (f *ScanCounts) Add(other ScanCounts) {
	f.Versions += other.Versions
	f.Spaces += other.Spaces
	f.Passages += other.Passages
	f.Sections += other.Sections
}

// String says what was found.
func (f ScanCounts) String() string {
	return fmt.Sprintf("%d versions, %d spaces, %d passages, %d section summaries", f.Versions, f.Spaces, f.Passages, f.Sections)
}

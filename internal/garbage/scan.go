package garbage

import (
	"fmt"

	"github.com/google/uuid"
)

// ScanCursor is the position of a scan of all rows. The zero value is the beginning.
type ScanCursor struct {
	Stage      ScanStage `json:"stage,omitempty"`
	DocumentID uuid.UUID `json:"document,omitzero"` // the last document scanned
	Version    int       `json:"version,omitempty"`
	SpaceID    int64     `json:"space,omitempty"`
	Hash       []byte    `json:"hash,omitempty"` // of a passage of the space, or of a section
}

// ScanStage is a kind of row that a scan reads.
type ScanStage string

// The stages, in order. ScanEnded follows the last one.
const (
	ScanVersions ScanStage = "" // of documents
	ScanSpaces   ScanStage = "spaces"
	ScanManifest ScanStage = "manifest"
	ScanPassages ScanStage = "passages"
	ScanSections ScanStage = "sections"
	ScanEnded    ScanStage = "ended"
)

// ScanCounts counts the garbage that a scan found and that was not on the list.
type ScanCounts struct {
	Versions int
	Spaces   int
	Passages int
	Sections int
}

// Add adds the counts of another part of the scan.
func (f *ScanCounts) Add(other ScanCounts) {
	f.Versions += other.Versions
	f.Spaces += other.Spaces
	f.Passages += other.Passages
	f.Sections += other.Sections
}

// String describes the counts.
func (f ScanCounts) String() string {
	return fmt.Sprintf("%d versions, %d spaces, %d passages, %d section summaries", f.Versions, f.Spaces, f.Passages, f.Sections)
}

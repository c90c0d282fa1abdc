package verification

import "github.com/google/uuid"

// FindingKind is a kind of damage or garbage that a verification can find.
type FindingKind string

const (
	FindingOriginalGone       FindingKind = "original_gone"       // object storage has no object of this name
	FindingOriginalDamaged    FindingKind = "original_damaged"    // the object holds other bytes than were uploaded
	FindingOriginalUnreadable FindingKind = "original_unreadable" // object storage is up, but cannot return the bytes
	FindingPassagesDamaged    FindingKind = "passages_damaged"    // the stored passages differ from those of the original, or some are missing
	FindingVectorsDamaged     FindingKind = "vectors_damaged"     // vectors whose length is not the dimensions of their space
	FindingObjectUnused       FindingKind = "object_unused"       // an object that no document names
	FindingGarbageUnlisted    FindingKind = "garbage_unlisted"    // unreferenced rows that were not on the garbage list
)

// Finding is one defect, and its remedy. The document fields are empty for an object that no
// document names.
type Finding struct {
	Kind       FindingKind `json:"kind"`
	Tenant     string      `json:"tenant"`
	Collection string      `json:"collection,omitempty"`
	DocumentID uuid.UUID   `json:"document_id,omitzero"`
	Key        string      `json:"key,omitempty"`
	Version    int         `json:"version,omitempty"`
	Object     string      `json:"object"`
	Detail     string      `json:"detail"`
	Remedy     string      `json:"remedy"`
}

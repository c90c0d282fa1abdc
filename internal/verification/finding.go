package verification

import "github.com/google/uuid"

// FindingKind is what a comparison of documents with what is stored of them may
// find wrong.
type FindingKind string

const (
	FindingOriginalGone       FindingKind = "original_gone"       // no object under the name
	FindingOriginalDamaged    FindingKind = "original_damaged"    // not the bytes that were uploaded
	FindingOriginalUnreadable FindingKind = "original_unreadable" // object storage answers, but not with its bytes
	FindingPassagesDamaged    FindingKind = "passages_damaged"    // not the passages of the original, or not all
	FindingVectorsDamaged     FindingKind = "vectors_damaged"     // of another length than their space's
	FindingObjectUnused       FindingKind = "object_unused"       // an object that no document names
	FindingGarbageUnlisted    FindingKind = "garbage_unlisted"    // rows that nobody refers to, and that were on no list of such
)

// Finding is one thing that is wrong, and what to do about it. Document fields
// are empty for an object that no document names.
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

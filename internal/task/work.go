package task

import (
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// SourceInfo describes the source of the version that the task works on.
func (w Work) SourceInfo() document.SourceInfo {
	return document.SourceInfo{Title: w.Title, MediaType: w.MediaType, Key: w.Key}
}

// Work is a task that a worker has claimed. Lease fences every write: after another worker has
// claimed the task, the store refuses writes under the old lease with fault.LeaseLost.
type Work struct {
	Ref
	JobID            uuid.UUID
	Lease            uuid.UUID
	Attempt          int // 1 for the first
	Crashes          int // number of earlier attempts that lost their worker
	Collection       string
	Key              string
	Title            string // the document's own title; see document.OwnTitle
	MediaType        string
	Object           string
	Size             int64
	SHA256           string       // of the original, lower-case hex
	Space            vector.Space // the active space, or the space that a reindex builds
	SpaceReplaceable bool         // whether the active space may be replaced; see vector.Collection

	Summaries        document.SummaryMode // of the collection
	SummaryRequested bool                 // whether a client has requested the summary

	// OtherSpaces are the other spaces in which new uploads are kept complete: spaces that are
	// being built, and spaces to which the collection can be switched back.
	OtherSpaces []vector.Space
}

// Original returns the object, size and hash that the original of the version must have.
func (w Work) Original() original.Ref {
	return original.Ref{Object: w.Object, Size: w.Size, SHA256: w.SHA256}
}

package task

import (
	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// SourceInfo returns the source of the version that is worked at.
func (w Work) SourceInfo() document.SourceInfo {
	return document.SourceInfo{Title: w.Title, MediaType: w.MediaType, Key: w.Key}
}

// Work is a task that a worker has claimed. Lease fences every write: once
// another worker has claimed the task, writes under the old lease are refused
// with fault.LeaseLost.
type Work struct {
	Ref
	JobID            uuid.UUID
	Lease            uuid.UUID
	Attempt          int // 1 for the first
	Crashes          int // how many of the attempts before it lost their worker
	Collection       string
	Key              string
	Title            string // its own; see OwnTitle
	MediaType        string
	Object           string
	Size             int64
	SHA256           string       // of the original, lower-case hex
	Space            vector.Space // the live one, or the one that a reindex builds
	SpaceReplaceable bool         // the live space is: see Collection

	Summaries        document.SummaryMode // of the collection
	SummaryRequested bool                 // somebody has asked for the summary

	// OtherSpaces are the spaces besides that are kept complete with what is uploaded:
	// those that are being built, and those that can be switched back to.
	OtherSpaces []vector.Space
}

// Original returns what the original of the work's version must be.
func (w Work) Original() original.Ref {
	return original.Ref{Object: w.Object, Size: w.Size, SHA256: w.SHA256}
}

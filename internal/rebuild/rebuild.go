// Package rebuild holds what a reindex has to build in a space, what it writes there, and how
// fast passages were embedded.
package rebuild

import (
	"cmp"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// SourceInfo describes the source of the version.
func (u MissingVersion) SourceInfo() document.SourceInfo {
	return document.SourceInfo{Title: u.Title, MediaType: u.MediaType, Key: u.Key}
}

// TargetSpace returns the space that a request asks for, without an id, and how it differs from
// the active space. Changing only the dimensions counts as a change of model. The dimensions
// are 0 if the request names another model without them.
func TargetSpace(r document.ReindexRequest, active vector.Space) (vector.Space, document.ReindexChange) {
	target := vector.Space{CollectionID: active.CollectionID, Model: active.Model, Chunking: active.Chunking}
	if r.Model.Name != "" && r.Model.Name != active.Model.Name {
		target.Model = r.Model
	} else {
		target.Model.Dimensions = cmp.Or(r.Model.Dimensions, active.Model.Dimensions)
	}
	target.Chunking.Tokens = cmp.Or(r.Tokens, target.Chunking.Tokens)
	if r.Overlap != nil {
		target.Chunking.Overlap = *r.Overlap
	}
	switch {
	case target.Chunking != active.Chunking:
		return target, document.ChangeChunking
	case target.Model != active.Model:
		return target, document.ChangeModel
	default:
		return target, document.ChangeNothing
	}
}

// Plan is the work of a reindex that changes the space: it adds the missing versions to To. To
// replaces From as the active space. During a revert, To is the space that was active before.
type Plan struct {
	Reindex    document.Reindex
	From       vector.Space // the active space
	To         vector.Space
	Checkpoint uuid.UUID // the last document that is done
}

// MissingVersion is a published version that is not complete in a space.
type MissingVersion struct {
	DocumentID uuid.UUID
	Version    int
	Key        string
	Object     string
	Size       int64
	SHA256     string // of the original, lower-case hex

	Title     string // the document's own title; see document.OwnTitle
	MediaType string
}

// Original returns the object, size and hash that the original of the version must have.
func (u MissingVersion) Original() original.Ref {
	return original.Ref{Object: u.Object, Size: u.Size, SHA256: u.SHA256}
}

// RequeueResult is the result of one step of a reindex that changes no space.
type RequeueResult struct {
	Jobs  int  // number of jobs created by this step
	Ended bool // whether the reindex has ended
}

// SpaceWrite is what one write of a reindex stores: the passages that are new to the space, and
// the manifest entries of new and reused passages. Checkpoint is the last document that is
// complete after this write, or the zero id: the next attempt begins after it.
type SpaceWrite struct {
	New        []vector.EmbeddedPassage
	Versions   []VersionWrite
	Checkpoint uuid.UUID
}

// VersionWrite holds manifest entries of one version, in order. A first entry of ordinal 0
// replaces all entries that the version had. TotalEntries is the number of all entries of the
// version if these are the last ones, and -1 before that.
type VersionWrite struct {
	MissingVersion
	Entries      []vector.ManifestEntry
	TotalEntries int64

	Warnings document.Warnings // about all its passages, set with the last entries

	// LeftOutReason says why the version is left out of the space. Such a version has no entries
	// and TotalEntries is 0; for MissingVersions, VerifySpace and ActivateSpace it counts as
	// complete. When the space becomes active, the document becomes failed.
	LeftOutReason string
}

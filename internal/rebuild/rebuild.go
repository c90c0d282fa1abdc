// Package rebuild holds what a reindex has to build in a space, what it writes there,
// and how fast passages were embedded.
package rebuild

import (
	"cmp"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// SourceInfo returns the source of the version.
func (u MissingVersion) SourceInfo() document.SourceInfo {
	return document.SourceInfo{Title: u.Title, MediaType: u.MediaType, Key: u.Key}
}

// TargetSpace returns the space that a request asks for, without an id, and what it
// changes of the active space. Other dimensions alone are a change of model too.
// The dimensions are 0 where the request leaves them out for another model.
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

// Plan is the work of a reindex that changes the space: what is missing in
// To is to be built from From. To is the live space's successor, or, while it
// is being reverted, its predecessor.
type Plan struct {
	Reindex    document.Reindex
	From       vector.Space // the live one
	To         vector.Space
	Checkpoint uuid.UUID // the last document that is done
}

// MissingVersion is a live version that is not placed whole in a space.
type MissingVersion struct {
	DocumentID uuid.UUID
	Version    int
	Key        string
	Object     string
	Size       int64
	SHA256     string // of the original, lower-case hex

	Title     string // its own; see OwnTitle
	MediaType string
}

// Original returns what the version's original must be.
func (u MissingVersion) Original() original.Ref {
	return original.Ref{Object: u.Object, Size: u.Size, SHA256: u.SHA256}
}

// RequeueResult is what became of a reindex that changes no space.
type RequeueResult struct {
	Jobs  int  // made now
	Ended bool // the reindex
}

// SpaceWrite is what one write of a reindex stores: passages that are new to the
// space, and the places of these and of reused ones. Reached is the last
// document that is whole with them, if any is: the next attempt begins behind
// it.
type SpaceWrite struct {
	New        []vector.EmbeddedPassage
	Versions   []VersionWrite
	Checkpoint uuid.UUID
}

// VersionWrite are places of one version, in order. A first place of ordinal 0
// replaces whatever was placed of the version before. Whole is the number of
// all its places, once these are its last ones, and -1 until then.
type VersionWrite struct {
	MissingVersion
	Entries      []vector.ManifestEntry
	TotalEntries int64

	Warnings document.Warnings // of all its passages, once it is whole

	// LeftOutReason says why the version cannot stand in the space: it then has no
	// places, Whole is 0, and it counts as placed for Unplaced, Verify and
	// Switch. Once the space is live the document is failed.
	LeftOutReason string
}

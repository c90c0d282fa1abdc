package storetest

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Reindexing rebuilds spaces, and puts documents back on the path. Calls with a
// work are of the reindex task that was claimed with it, fault.LeaseLost when
// its lease is no longer ours, and write its progress.
type Reindexing interface {
	// BeginReindex writes a reindex of request.Collection, queued and not yet
	// dispatched. What it changes is document.ReindexRequest.Target of the live
	// space. When that is something, the space it builds is made, empty, or is
	// the one of the collection that has this model and chunking and is still
	// kept; from now on what is uploaded is written to it too. fault.NotFound
	// when there is no such collection, or no such document in it;
	// fault.Conflict, naming the other by its id, when a reindex of the
	// collection is queued, running, waiting or paused; fault.BadRequest when
	// vectors of that many dimensions cannot be stored.
	BeginReindex(ctx context.Context, request document.ReindexRequest) (document.Reindex, error)

	Reindex(ctx context.Context, id uuid.UUID) (document.Reindex, error)
	Reindexes(ctx context.Context, filter document.ReindexFilter, page document.Page) (document.List[document.Reindex], error)

	// PauseReindex ends the lease, and nothing more is written to the space
	// until ResumeReindex. fault.Conflict when the reindex has ended.
	PauseReindex(ctx context.Context, id uuid.UUID) (document.Reindex, error)

	// ResumeReindex gives a paused or failed reindex a fresh start: queued, not
	// dispatched, no attempt used up, no error. It goes on where it stopped, in
	// the space that it was building, or in another one when that is no longer
	// retained. A failed one tries again what failed: documents that were left
	// out, and documents whose job did not succeed. Of one without a change,
	// the progress of a failed one is empty afterwards; what it counts from
	// then on is for the store to say: the jobs made since, or all that it made.
	// One that is queued, running or waiting is returned as it is.
	// fault.Conflict when it has succeeded, was cancelled, or failed and another
	// is active; and when it was reverting and can no longer go on, since
	// another space is active or the one from before is no longer retained.
	ResumeReindex(ctx context.Context, id uuid.UUID) (document.Reindex, error)

	// CancelReindex ends the reindex; jobs that it made go on. The space that it
	// was building gets nothing more, and is dropped after keep: until then its
	// vectors are not bought again. One that was reverting goes back to done.
	// Cancelled already is returned as it is; fault.Conflict when it has ended
	// otherwise.
	CancelReindex(ctx context.Context, id uuid.UUID, keep time.Duration) (document.Reindex, error)

	// RevertReindex switches back to the space that was live before: at once
	// when every live document is whole in it, which it then says by the stage
	// reverted; otherwise, or when others go on being published without it, the
	// reindex is queued again, in the stage reverting, to complete that space first. The space that is left is dropped after
	// keep. fault.Conflict, with nothing changed, when there is nothing to
	// revert to: it changed no space, did not succeed, was reverted already, its
	// time is over, or another space is live by now; and while another reindex
	// of the collection is active.
	RevertReindex(ctx context.Context, id uuid.UUID, keep time.Duration) (document.Reindex, error)

	// PlanRebuild returns what a reindex that changes the space has to do. Its
	// progress has as totals what is done and what is left now.
	PlanRebuild(ctx context.Context, work task.Work) (rebuild.Plan, error)

	// MissingVersions returns, in order of id, up to limit live documents after the
	// given one that are not placed whole in work.Space.
	MissingVersions(ctx context.Context, work task.Work, after uuid.UUID, limit int) ([]rebuild.MissingVersion, error)

	// VersionPassages returns, in order, up to limit passages of a version in a
	// space, from the given ordinal on.
	VersionPassages(ctx context.Context, space vector.Space, of rebuild.MissingVersion, from, limit int) ([]vector.PassageAt, error)

	// WriteToSpace stores, in one transaction, passages that are new to work.Space
	// (those already there are left as they are), places, and that versions
	// stand whole. What is no longer the live version of its document is left
	// out, passages excepted. When a passage is new, or Reached is set, attempts
	// before this one no longer count, nor do crashes: only those in a row that
	// got nowhere do. A version that is LeftOut counts as placed, with no places,
	// until a reindex that begins to build the space again tries it once more.
	// fault.Conflict, with nothing written, when a passage of a
	// place is neither among the new ones nor in the space any more.
	WriteToSpace(ctx context.Context, work task.Work, rebuilt rebuild.SpaceWrite, progress document.ReindexProgress) error

	// SetReindexStage notes what the reindex is at, with its progress.
	SetReindexStage(ctx context.Context, work task.Work, stage document.ReindexStage, progress document.ReindexProgress) error

	// IndexSpace builds the space's vector index, without holding up who reads
	// or writes it, unless it has one, or has fewer than threshold passages. It
	// takes as long as it takes; what a call that was cut short has left behind
	// is no obstacle to the next. A store without such indexes does nothing.
	IndexSpace(ctx context.Context, space vector.Space, threshold int) error

	// MoveSpaceToOwnTable moves the passages of a space to a table of its own, without
	// holding up who reads or writes it for long. What a call that was cut short
	// has left behind the next one finishes. A store of one table does nothing.
	MoveSpaceToOwnTable(ctx context.Context, space vector.Space) error

	// TenantsWithGrownSpaces returns tenants for which Grown may return something.
	// It is not for a tenant.
	TenantsWithGrownSpaces(ctx context.Context) ([]string, error)

	// GrownSpaces returns spaces in which passages were published since they wanted no
	// care, and that want it now: to be moved when they have as many passages as a
	// table of their own is worth, or threshold, and to be indexed, by IndexSpace,
	// when they have one and threshold passages. A reindex sees to the space that
	// it builds. The cost follows what was published since the last call. Of a few
	// passages it may not be noticed that they were.
	GrownSpaces(ctx context.Context, care vector.Maintenance, threshold int) ([]vector.Space, error)

	// GrownSpacesAfter returns those of the next limit spaces after an id that want the
	// care, whatever was published, and the id to go on after, 0 at the end.
	GrownSpacesAfter(ctx context.Context, care vector.Maintenance, threshold int, after int64, limit int) (spaces []vector.Space, last int64, err error)

	// VerifySpace looks whether work.Space may become live: every live document
	// stands whole in it, and some sample passages, searched for by their own
	// vector, are found. fault.Conflict when documents are missing; what it
	// finds to be damaged is returned by MissingVersions then. Any other failure when a passage is
	// not found.
	VerifySpace(ctx context.Context, work task.Work, sample int) error

	// ActivateSpace makes work.Space the live one and ends the reindex, in one
	// transaction, which nothing is published beside; or says fault.Conflict,
	// with nothing changed, when a live document is not whole in it, or when others
	// go on being published without it. It counts before that what is missing:
	// others wait only for a look whether that is so still. The space
	// that was live goes on being written, and is dropped after keep. Documents
	// that are left out of the new space are failed from then on, and those ready
	// that were failed for that. The progress also lists documents of which what
	// was uploaded last has failed.
	ActivateSpace(ctx context.Context, work task.Work, keep time.Duration, progress document.ReindexProgress) error

	// RequeueDocuments gives documents that a reindex without a change matches, after
	// those it was given before, a next version with the same original and
	// settings, and a job for it: as many as there is room for while fewer than
	// window of the reindex's jobs have not ended. It matches documents whose
	// newest version came to nothing or whose live version is not whole in the
	// live space, and with Force all; but none with an unended job for its
	// newest version, unless its knowledge task has failed. Once no document is left and all its jobs have ended, the
	// reindex ends with them: succeeded, or failed if one of them did. The
	// answer says whether it has ended, and whether jobs were made.
	RequeueDocuments(ctx context.Context, work task.Work, window int) (rebuild.RequeueResult, error)

	// ReusableHashes returns those of the hashes that Known would find of a space with
	// this collection and model, which need not be there yet.
	ReusableHashes(ctx context.Context, space vector.Space, hashes []document.ContentHash) ([]document.ContentHash, error)

	// EstimateReindex says what the reindex would do, as far as rows tell: where
	// the chunking changes, the documents and their model only.
	EstimateReindex(ctx context.Context, request document.ReindexRequest) (document.ReindexEstimate, error)

	// DocumentsToRedo returns the documents that Requeue would give a version,
	// of the request's collection, by a request that changes nothing.
	DocumentsToRedo(ctx context.Context, request document.ReindexRequest) ([]uuid.UUID, error)

	// EmbeddingRate returns how many passages a second were embedded by the model
	// when it was last used, by a reindex or else by jobs; 0 when it never was.
	EmbeddingRate(ctx context.Context, model document.Model) (float64, error)
}

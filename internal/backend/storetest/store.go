// Package storetest is the conformance suite of the stores: whatever holds
// Gristmill's rows must pass it. It also states, in one place, what the steps
// and faces together ask of a store; each of them declares only its own part.
package storetest

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/original"
	"github.com/seed-7a112592/gristmill/internal/task"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/internal/verification"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Store is everything that is asked of a store. Every call but Ping, Attend,
// Exclusively and those that return tenants works for the tenant in ctx and for nobody else, in a
// transaction of its own that is rolled back when the call fails. Failures
// that a caller can act on are fault.Errors; a store that cannot be reached
// answers fault.Unavailable.
type Store interface {
	Ingest
	Dispatching
	Tasks
	Processes
	JobControl
	Knowledge
	Summaries
	Searching
	Reading
	Reindexing
	Outbox
	Sweeping
	Garbage
	Verifying

	// Ping reports whether the store can be used.
	Ping(ctx context.Context) error
}

// Ingest accepts documents.
type Ingest interface {
	// EnsureCollection returns the collection of that name, made on first use
	// with a space of the given model and chunking. A model of 0 dimensions is
	// one whose length is not known yet: nothing can be written to its space,
	// and it is searched without hits. An existing collection is returned as it
	// is, whatever the arguments say. Safe for concurrent use: all callers get
	// the same collection.
	//
	// fault.Conflict, with nothing made, when the tenant has as many collections
	// as the store was opened to allow. Those that are there are returned however
	// many there are.
	EnsureCollection(ctx context.Context, name string, model document.Model, chunking document.Chunking) (vector.Collection, error)

	// BeginUpload notes that an object is about to be written. Until its
	// document is accepted, or EndUpload, the note is how an object that came
	// to nothing is found. It fails when there is such a note already.
	BeginUpload(ctx context.Context, object string) error

	// AbortUpload removes the note of an object that is gone. None is no error.
	AbortUpload(ctx context.Context, object string) error

	// AcceptUpload writes, in one transaction, the document (made or, under an
	// existing key, given a next version) and the job with its tasks, queued
	// and not yet dispatched. When the newest version has the same hash, title
	// (FromKey too, if that is known), metadata and media type, and its job has
	// not failed or been cancelled, nothing is written and that job is returned
	// with Unchanged set.
	// Concurrent calls for one key are taken one after another. The answer's
	// Document describes the accepted version, but its State is what readers
	// see (ready while an older version is live). A document under deletion
	// does not block its key: a new one is made. fault.PreconditionFailed, with
	// nothing written, when the upload's condition does not hold of the newest
	// version under the key.
	//
	// Writing takes the note of the upload's object in the same transaction: a
	// note that is gone is a document that was accepted. fault.NotFound, with
	// nothing written, when there is no note or the sweep has abandoned it.
	//
	// Under an idempotency key, the answer is kept in the same transaction, and
	// is the answer to every later call with that key, Replayed, whatever has
	// become of the document. fault.Conflict, with nothing written, when the
	// upload's fingerprint is not that of the first. Failures are not kept.
	AcceptUpload(ctx context.Context, upload original.Upload) (document.Accepted, error)

	// RestoreOriginal puts the upload's object, with its tag, in the place of the lost
	// one that the newest version of a document names, and in every other version
	// of the document that shares it, and takes the damage back that was noted.
	// What has failed or is under way of the newest version's job starts afresh
	// (see RetryJob), since it has read the lost object: its worker loses its
	// lease. The lost object gets a note, so that it is swept like an upload that
	// came to nothing, and that of the upload's object is taken, as by Accept,
	// with fault.NotFound when there is none. The answer is that of an upload
	// that is unchanged, Restored. fault.Conflict, with nothing written, when the
	// document is deleted, or its newest version is not of the upload's size and
	// hash or does not name the lost object.
	RestoreOriginal(ctx context.Context, id uuid.UUID, lost string, upload original.Upload) (document.Accepted, error)

	// Backlog returns how much of the tenant's work has not ended. It is asked
	// for before every upload: its cost does not grow with the backlog.
	Backlog(ctx context.Context) (task.Backlog, error)
}

// Dispatching says what belongs into the queue. A reindex is a task too, of the
// kind document.Reindexing.
type Dispatching interface {
	// Dispatch returns tasks that have never been dispatched, of each kind the
	// oldest (by id of their job) first, and counts them as dispatched now: as
	// many as there is room for while fewer of the tenant's tasks of the kind
	// than its window are dispatched and not ended. Concurrent calls neither
	// return the same task nor together more than there is room for. Its cost
	// does not grow with what waits.
	Dispatch(ctx context.Context, windows map[task.Kind]int) ([]task.Dispatch, error)

	// TenantsWithWork returns tenants that have tasks or reindexes that have not
	// ended. It is not for a tenant. Its cost hardly grows with tenants that have
	// none.
	TenantsWithWork(ctx context.Context) ([]string, error)

	// RedispatchOverdue returns, and counts as dispatched now, up to limit tasks that were
	// dispatched and should be in the queue but may not be: queued or waiting
	// ones that were dispatched, and whose time came, longer than idle ago, and
	// running ones whose lease ran out. Those dispatched the longest ago are
	// taken first, so that a limit keeps none waiting for ever.
	RedispatchOverdue(ctx context.Context, idle time.Duration, limit int) ([]task.Dispatch, error)
}

// Tasks hands out and settles work: tasks of jobs, and reindexes.
type Tasks interface {
	// Claim gives the task to the caller under a new lease of length ttl and
	// counts an attempt and a round. When it is taken over from a worker whose
	// lease ran out, that one's crash is counted too. It is refused with
	//   - fault.NotFound when there is nothing to do: no such task, or it has
	//     ended. A task whose document has a newer version and which was never
	//     begun, or whose document is being deleted, is cancelled here
	//     ("superseded by version N", "document deleted") and so refused too;
	//   - fault.Conflict when another lease is running;
	//   - fault.Unavailable with RetryAfter when the next attempt is not due.
	// Claiming a knowledge task removes the places that an earlier attempt
	// left under this version, so that attempts never mix. The work's Space is
	// the collection's live one, and Also are the others that are kept complete.
	// Unsettled says that nothing stands in the live one and that no reindex has
	// built it.
	// Of a reindex, Job and Document are its id and Space is the one it builds.
	Claim(ctx context.Context, ref task.Ref, ttl time.Duration) (task.Work, error)

	// RenewLease extends the lease; fault.LeaseLost when it is no longer ours.
	RenewLease(ctx context.Context, work task.Work, ttl time.Duration) error

	// RecordOutcome writes what became of a task that is not done: its state, error,
	// next attempt (wait gives its attempt back), and the job's and the
	// document's state that follow (a document without a live version whose
	// knowledge task failed or was cancelled is failed). fault.LeaseLost when
	// the lease is no longer ours.
	RecordOutcome(ctx context.Context, work task.Work, outcome task.Outcome) error
}

// Processes tells which of those that work at tasks have died.
type Processes interface {
	// WatchProcesses has this process seen to live until ctx ends, and calls died for
	// each process that has died, until it returns nil: then the process is
	// forgotten. What was killed has died some seconds later; what is slow, or was
	// stopped and can go on, or has lost its connections for a moment, has not.
	// Call it once, and end it when no task is worked at any more. It is not for a
	// tenant.
	WatchProcesses(ctx context.Context, died func(ctx context.Context, process int64) error)

	// ReclaimTasks ends leases that a process holds and that have less than left to
	// run, and returns their tasks, which count as dispatched now. More says that
	// there are some whose leases could not be ended yet. When there are none, it
	// also returns, under a next round, what is in the queue and not claimed: the
	// process may have taken it from there.
	ReclaimTasks(ctx context.Context, process int64, left time.Duration) (reclaimed []task.Dispatch, more bool, err error)
}

// JobControl is what a client may do to a job.
type JobControl interface {
	// CancelJob ends the job's unended tasks as cancelled ("cancelled on
	// request"), with the job's and the document's state that follow (see
	// Settle); the version that readers see stays live. A job that is cancelled
	// already is returned as it is. fault.NotFound when there is no such job,
	// fault.Conflict when it has succeeded or failed.
	CancelJob(ctx context.Context, id uuid.UUID) (document.Job, error)

	// RetryJob gives the failed and cancelled tasks of an ended job a fresh
	// start: queued, not dispatched, with no attempt used up, no crash and no
	// error, in a new round. Those that succeeded stay as they are, and the
	// job's state follows; a failed document without a live version is pending
	// again. Of a job that has not ended, tasks that wait are queued, not
	// dispatched, in a new round, with the attempts that they have used up; others
	// stay as they are. fault.NotFound when there is no such job or its document
	// is deleted, fault.Conflict when it has succeeded or its document has a newer
	// version.
	RetryJob(ctx context.Context, id uuid.UUID) (document.Job, error)
}

// Knowledge is what the knowledge step writes.
type Knowledge interface {
	// PrepareSpace sees to it that an unsettled collection has a live space of
	// the given model, of known length, and chunking: one that holds no passages
	// and that no reindex has built is replaced by it, in one transaction, which
	// nothing is published beside. What was about to be published in the one
	// that is replaced is not: see Publish. Any other live space stays. It
	// returns the work with the collection's spaces as they are then.
	// fault.LeaseLost when the lease is no longer ours.
	PrepareSpace(ctx context.Context, work task.Work, model document.Model, chunking document.Chunking) (task.Work, error)

	// ReusePassages returns those of the hashes whose passages are in the space, with
	// how many bytes of what is embedded their vectors are of, 0 for all. It
	// first copies in, with their vectors, passages that stand in another space of
	// the same tenant with the same model and dimensions, or that another such
	// space of the same collection has.
	ReusePassages(ctx context.Context, space vector.Space, hashes []document.ContentHash) (map[document.ContentHash]int, error)

	// WriteBatch stores new passages (those already there are left as they are),
	// places and progress in one transaction, in work.Space, which may be any of
	// the collection's. fault.LeaseLost when the lease is no longer ours;
	// fault.Conflict, with nothing written, when the passage of a place is
	// neither in the batch nor in the space any more.
	WriteBatch(ctx context.Context, work task.Work, batch vector.Batch, progress document.KnowledgeProgress) error

	// Publish makes the version live and, in the same transaction, writes the
	// task's and the job's end: a reader never sees one without the other. The
	// version then stands whole in work.Space, with progress.Passages places,
	// and in the spaces of also; it fails, changing nothing, unless exactly so
	// many places with their passages are there. fault.Unavailable, with nothing
	// changed, when the collection's live space is none of these by now: a new
	// attempt writes to that one. When a newer version is live already the task
	// is cancelled instead. fault.LeaseLost when the lease is no longer ours.
	//
	// The warnings, as those of also, are of the passages in that space. They
	// stand behind those that Accept was given, while the space is live, and
	// replace those of an earlier Publish or Place.
	Publish(ctx context.Context, work task.Work, also []vector.SpaceVersion, progress document.KnowledgeProgress, warnings ...document.Warning) error

	// WriteAndPublish is, in one transaction, Write of a batch that is the whole
	// version and Publish in work.Space alone. It returns false, with nothing
	// written, where Publish would find a newer version or another live space:
	// Write and Publish keep what is paid for, and say so.
	WriteAndPublish(ctx context.Context, work task.Work, batch vector.Batch, progress document.KnowledgeProgress, warnings ...document.Warning) (published bool, err error)
}

// Summaries is what the summary step reads and writes.
type Summaries interface {
	// ReuseSectionSummaries returns the known summaries among the given nodes, and
	// notes that the work's version, if it is there, uses them: until it is
	// forgotten they stay.
	ReuseSectionSummaries(ctx context.Context, work task.Work, nodes []document.ContentHash) (map[document.ContentHash]string, error)

	// SaveSectionSummaries keeps sections' summaries under their hashes, which the
	// version uses then, and the task's progress. fault.LeaseLost when the lease is no longer ours.
	SaveSectionSummaries(ctx context.Context, work task.Work, texts map[document.ContentHash]string, progress document.SummaryProgress) error

	// FinishSummary stores the document's summary and, in the same
	// transaction, the task's and the job's end. The warnings stand behind all
	// others of the version. fault.LeaseLost as above.
	FinishSummary(ctx context.Context, work task.Work, summary document.Summary, progress document.SummaryProgress, warnings ...document.Warning) error

	// SkipSummary ends the task as succeeded without a summary. fault.LeaseLost
	// as above.
	SkipSummary(ctx context.Context, work task.Work) error

	// RequestSummary has the summary task of the document's newest version run, now
	// that somebody has asked for it, unless it has brought a summary or will:
	// see document.AskSummary. Configured is the mode of collections that have
	// none of their own. It returns the job.
	RequestSummary(ctx context.Context, id uuid.UUID, configured document.SummaryMode) (document.Job, error)

	// SetSummaryMode sets when documents of a collection are summarised, or
	// returns fault.NotFound. Work says so from the next claim on.
	SetSummaryMode(ctx context.Context, name string, mode document.SummaryMode) (vector.Collection, error)
}

// Searching answers questions.
type Searching interface {
	// Collection returns the collection of that name, or fault.NotFound.
	Collection(ctx context.Context, name string) (vector.Collection, error)

	// AllCollections returns every collection, by name.
	AllCollections(ctx context.Context) ([]vector.Collection, error)

	// Collections lists collections, newest first; see Reading.
	Collections(ctx context.Context, page document.Page) (document.List[vector.Collection], error)

	// NearestPassages returns the passages of live versions in the space that are
	// nearest to the query's vector by cosine similarity, best first, ties in
	// a stable order; exact while the space is not indexed. fault.Conflict when
	// the space is not the collection's live one any more. A passage that stands
	// in several places is one hit, with the others in AlsoIn (at most 10; never
	// nil).
	NearestPassages(ctx context.Context, space vector.Space, query vector.Query) ([]document.Hit, error)
}

// Reading answers the faces. Lists are newest first, but passages are in
// order. A page costs the same however deep it is, and whatever else there is. A
// cursor that is not of the list is fault.BadRequest.
type Reading interface {
	Document(ctx context.Context, id uuid.UUID) (document.Document, error)

	// Documents lists documents; those of a prefix by key, bytewise, and of one
	// key by id.
	Documents(ctx context.Context, filter document.DocumentFilter, page document.Page) (document.List[document.Document], error)

	// Passages returns those of the live version; none while there is none. A
	// cursor of a version that is no longer live is fault.Conflict: the pages
	// of a list are of one version.
	Passages(ctx context.Context, id uuid.UUID, page document.Page) (document.List[document.Passage], error)

	// Summary returns that of the version readers see; fault.NotFound, saying
	// so, when there is none yet.
	Summary(ctx context.Context, id uuid.UUID) (document.Summary, error)

	// DeleteDocument hides the document from every reader at once and cancels
	// its unfinished tasks; the rest is swept. fault.NotFound when there is none,
	// and fault.PreconditionFailed, with nothing changed, when a condition does
	// not hold of the newest version.
	DeleteDocument(ctx context.Context, id uuid.UUID, conditions ...document.Condition) error

	Job(ctx context.Context, id uuid.UUID) (document.Job, error)
	Jobs(ctx context.Context, filter document.JobFilter, page document.Page) (document.List[document.Job], error)
}

// Outbox keeps webhooks, and what is to be sent to them: wherever a job's
// state becomes final, the same transaction writes a delivery for each webhook
// that the tenant has. Its body is a document.Event, the same bytes for every
// attempt.
type Outbox interface {
	// AddWebhook keeps the webhook and returns it with its time of creation.
	// fault.Conflict when the tenant has document.MaxWebhooks already.
	AddWebhook(ctx context.Context, webhook document.Webhook) (document.Webhook, error)

	// Webhooks lists webhooks, newest first, without their secrets.
	Webhooks(ctx context.Context, page document.Page) (document.List[document.Webhook], error)

	// DeleteWebhook removes a webhook with its deliveries; fault.NotFound when
	// there is none.
	DeleteWebhook(ctx context.Context, id uuid.UUID) error

	// Deliveries lists the deliveries of a webhook, newest first;
	// fault.NotFound when there is no such webhook.
	Deliveries(ctx context.Context, webhook uuid.UUID, page document.Page) (document.List[document.Delivery], error)

	// ClaimDeliveries gives the caller due deliveries: of each webhook that is
	// not among busy up to limit, those that are due the longest. It counts an
	// attempt at each and puts it off by ttl, so that nobody else sends it
	// meanwhile, and somebody does if the caller dies.
	ClaimDeliveries(ctx context.Context, busy []uuid.UUID, limit int, ttl time.Duration) ([]task.Delivery, error)

	// RecordDeliveryOutcome writes what became of the attempt. fault.LeaseLost when
	// the delivery was taken again since, has ended, or is gone.
	RecordDeliveryOutcome(ctx context.Context, taken task.Delivery, outcome task.DeliveryOutcome) error

	// DeleteEndedDeliveries removes up to limit deliveries that ended longer than age
	// ago, and says how many.
	DeleteEndedDeliveries(ctx context.Context, age time.Duration, limit int) (int, error)
}

// Verifying tells what must be there, and keeps what a comparison has found.
type Verifying interface {
	// RetainedVersions returns the versions that must be whole of up to limit documents after
	// one, in order of document and version: of each that is not deleted, the
	// live one and the newest one.
	RetainedVersions(ctx context.Context, filter verification.Filter, after uuid.UUID, limit int) ([]verification.RetainedVersion, error)

	// ManifestPassages returns up to limit places of a kept version, in its space
	// and from an ordinal on, in order, with what stands there.
	ManifestPassages(ctx context.Context, of verification.RetainedVersion, from, limit int) ([]verification.ManifestPassage, error)

	// RecordVersionCheck notes the tag of the version's object and what is wrong with the
	// version, empty for nothing; Document shows it. Nothing happens when the
	// version is gone or names another object by now.
	RecordVersionCheck(ctx context.Context, of verification.RetainedVersion, etag, damage string) error

	// UnreferencedObjects returns those of the objects that no version and no note of
	// an upload names. Its cost does not grow with the versions there are.
	UnreferencedObjects(ctx context.Context, objects []string) ([]string, error)

	// VerificationProgress returns what SaveVerification has kept; zero at first.
	VerificationProgress(ctx context.Context) (verification.Progress, error)
	SaveVerificationProgress(ctx context.Context, v verification.Progress) error
}

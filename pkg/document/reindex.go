package document

import (
	"slices"
	"time"

	"github.com/google/uuid"
)

// ReindexChange is what a reindex changes about a collection's space.
type ReindexChange string

const (
	ChangeNothing  ReindexChange = "nothing"  // documents that are missing, failed or stale are redone
	ChangeModel    ReindexChange = "model"    // passages are embedded again, from the stored text
	ChangeChunking ReindexChange = "chunking" // originals are cut again, and what is new is embedded
)

// ReindexRequest says what is to be re-indexed, and how. Zero fields leave the
// model and the chunking of the live space as they are; the length of another
// model's vectors is not known then.
type ReindexRequest struct {
	Collection string // empty for all
	Model      Model  // either of its fields may be zero
	Tokens     int    // of a passage, at most
	Overlap    *int   // tokens repeated from the passage before

	// What of the collection; only where nothing about the space changes.
	KeyPrefix   string
	DocumentIDs []uuid.UUID
	Force       bool // also what is whole
}

// Reindex rebuilds what search knows of a collection: beside its live space
// when that changes, or within it.
type Reindex struct {
	ID          uuid.UUID     `json:"id"`
	Collection  string        `json:"collection"`
	Change      ReindexChange `json:"change" enum:"nothing,model,chunking" doc:"What it changes about the space: nothing redoes documents that are missing, failed or stale."`
	Model       string        `json:"model" doc:"Embedding model of the space that it builds."`
	Dimensions  int           `json:"dimensions"`
	Tokens      int           `json:"chunk_tokens"`
	Overlap     int           `json:"chunk_overlap"`
	KeyPrefix   string        `json:"key_prefix,omitempty"`
	DocumentIDs []uuid.UUID   `json:"document_ids,omitempty"`
	Force       bool          `json:"force,omitempty"`

	State         JobState        `json:"state" enum:"queued,running,waiting,paused,succeeded,failed,cancelled"`
	Stage         ReindexStage    `json:"stage,omitempty" enum:"documents,index,verify,done,reverting,reverted" doc:"What it is at, or was when it ended."`
	Progress      ReindexProgress `json:"progress"`
	Attempt       int             `json:"attempt"`
	Error         string          `json:"error,omitempty"`
	NextAttemptAt *time.Time      `json:"next_attempt_at,omitempty"`

	CreatedAt       time.Time  `json:"created_at"`
	StartedAt       *time.Time `json:"started_at,omitempty"`
	FinishedAt      *time.Time `json:"finished_at,omitempty"`
	RevertibleUntil *time.Time `json:"revertible_until,omitempty" doc:"Until then the space that was live before is kept, and revert switches back to it."`
}

// ReindexStage is what a reindex is at.
type ReindexStage string

const (
	StageDocuments ReindexStage = "documents" // embeds and places what is missing
	StageIndex     ReindexStage = "index"     // builds the vector index
	StageVerify    ReindexStage = "verify"    // looks whether all is there and found
	StageDone      ReindexStage = "done"      // what it built answers searches
	StageReverting ReindexStage = "reverting" // completes the space from before, to switch back to it
	StageReverted  ReindexStage = "reverted"  // the space from before answers searches again
)

// ReindexProgress counts what a reindex has done. Bytes are of originals,
// whether they are read again or not. Passages is Embedded and Reused together.
// Seconds is how long it was at work, all attempts together.
type ReindexProgress struct {
	Documents     int64   `json:"documents"`
	DocumentsDone int64   `json:"documents_done"`
	Bytes         int64   `json:"bytes"`
	BytesDone     int64   `json:"bytes_done"`
	Passages      int64   `json:"passages"`
	Embedded      int64   `json:"embedded"`
	Reused        int64   `json:"reused"`
	Seconds       float64 `json:"seconds"`

	// LeftOut lists documents that cannot be found in what was built: the first
	// MaxLeftOut of LeftOutCount.
	LeftOut      []LeftOut `json:"left_out,omitempty" doc:"Documents that could not be redone, with the reason: the first 100 of left_out_count."`
	LeftOutCount int64     `json:"left_out_count,omitempty"`
}

// MaxLeftOut is how many documents that were left out a reindex lists.
const MaxLeftOut = 100

// LeftOut is a document that a reindex could not redo: the model does not take
// one of its passages, or what was uploaded last came to nothing before.
type LeftOut struct {
	DocumentID uuid.UUID `json:"document_id"`
	Key        string    `json:"key"`
	Error      string    `json:"error"`
}

// AddLeftOut adds documents to those that are left out.
func (p *ReindexProgress) AddLeftOut(count int64, documents ...LeftOut) {
	p.LeftOutCount += count
	room := MaxLeftOut - len(p.LeftOut)
	p.LeftOut = append(slices.Clip(p.LeftOut), documents[:min(len(documents), room)]...)
}

// ReindexEstimate is what a reindex would do. Sampled says that passages, those
// reused and tokens, or the summaries, were reckoned from a part of the documents. Cost, in US
// dollars, is missing where the model has no price, and Seconds where no rate
// was measured yet.
type ReindexEstimate struct {
	Collection string        `json:"collection"`
	Change     ReindexChange `json:"change" enum:"nothing,model,chunking"`
	Model      string        `json:"model"`
	Dimensions int           `json:"dimensions"`
	Documents  int64         `json:"documents"`
	Passages   int64         `json:"passages" doc:"Distinct ones."`
	Reusable   int64         `json:"reusable" doc:"Those of them that have a vector of the model already."`
	Tokens     int64         `json:"tokens" doc:"To be sent to the model (cl100k_base)."`
	Cost       *float64      `json:"cost,omitempty" doc:"US dollars, by the price table; missing where the model has no price."`
	Seconds    *float64      `json:"seconds,omitempty" doc:"By the rate that was measured last, of the model or else of the one that is live; missing where none was."`
	Sampled    bool          `json:"sampled" doc:"Reckoned from a part of the documents."`

	Summaries SummaryEstimate `json:"summaries" doc:"What summarising the documents that are redone would ask of the chat model: nothing where summaries are extractive or the change is not nothing."`
}

// ReindexFilter narrows a list of reindexes; zero fields do not narrow.
type ReindexFilter struct {
	Collection string
	State      JobState
}

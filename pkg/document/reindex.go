package document

import (
	"slices"
	"time"

	"github.com/google/uuid"
)

// ReindexChange says what a reindex changes about the space of a collection.
type ReindexChange string

const (
	ChangeNothing  ReindexChange = "nothing"  // redoes documents that are missing, failed or stale
	ChangeModel    ReindexChange = "model"    // embeds passages again, from the stored text
	ChangeChunking ReindexChange = "chunking" // splits originals again, and embeds passages that are new
)

// MaxReindexDocuments is the maximum number of documents that a reindex can name.
const MaxReindexDocuments = 100

// ReindexRequest says what to re-index and how. Zero fields keep the model and the chunking of the
// active space. If Model names another model without dimensions, the server asks the model for
// them.
type ReindexRequest struct {
	Collection string // empty for all
	Model      Model  // either field may be zero
	Tokens     int    // maximum number of tokens of a passage
	Overlap    *int   // maximum number of tokens repeated from the passage before; nil for no change

	// Which documents to redo; allowed only if model and chunking do not change.
	KeyPrefix   string
	DocumentIDs []uuid.UUID
	Force       bool // also documents that are complete
}

// Reindex is a run that rebuilds the search data of a collection. If the model or the chunking
// changes, it builds a new space next to the active one; otherwise it works in the active space.
type Reindex struct {
	ID          uuid.UUID     `json:"id"`
	Collection  string        `json:"collection"`
	Change      ReindexChange `json:"change" enum:"nothing,model,chunking" doc:"What changes about the space. nothing redoes documents that are missing, failed or stale."`
	Model       string        `json:"model" doc:"Embedding model of the space that is built."`
	Dimensions  int           `json:"dimensions"`
	Tokens      int           `json:"chunk_tokens"`
	Overlap     int           `json:"chunk_overlap"`
	KeyPrefix   string        `json:"key_prefix,omitempty"`
	DocumentIDs []uuid.UUID   `json:"document_ids,omitempty"`
	Force       bool          `json:"force,omitempty"`

	State         JobState        `json:"state" enum:"queued,running,waiting,paused,succeeded,failed,cancelled"`
	Stage         ReindexStage    `json:"stage,omitempty" enum:"documents,index,verify,done,reverting,reverted" doc:"Current stage, or the last one if it has ended."`
	Progress      ReindexProgress `json:"progress"`
	Attempt       int             `json:"attempt"`
	Error         string          `json:"error,omitempty"`
	NextAttemptAt *time.Time      `json:"next_attempt_at,omitempty"`

	CreatedAt       time.Time  `json:"created_at"`
	StartedAt       *time.Time `json:"started_at,omitempty"`
	FinishedAt      *time.Time `json:"finished_at,omitempty"`
	RevertibleUntil *time.Time `json:"revertible_until,omitempty" doc:"Until then the previous active space is kept, and revert switches back to it."`
}

// ReindexStage is a stage of a reindex.
type ReindexStage string

const (
	StageDocuments ReindexStage = "documents" // embeds and writes missing documents
	StageIndex     ReindexStage = "index"     // builds the vector index
	StageVerify    ReindexStage = "verify"    // checks that all documents are complete and can be found
	StageDone      ReindexStage = "done"      // the space that was built is active
	StageReverting ReindexStage = "reverting" // completes the previous space before it becomes active again
	StageReverted  ReindexStage = "reverted"  // the previous space is active again
)

// ReindexProgress counts what a reindex has done.
type ReindexProgress struct {
	Documents     int64   `json:"documents"`
	DocumentsDone int64   `json:"documents_done"`
	Bytes         int64   `json:"bytes"` // of originals, whether they are read again or not
	BytesDone     int64   `json:"bytes_done"`
	Passages      int64   `json:"passages"` // Embedded and Reused together
	Embedded      int64   `json:"embedded"`
	Reused        int64   `json:"reused"`
	Seconds       float64 `json:"seconds"` // time at work, all attempts together

	// LeftOut lists the first MaxLeftOut of the LeftOutCount documents that searches of the space
	// that was built do not find.
	LeftOut      []LeftOut `json:"left_out,omitempty" doc:"Documents that could not be redone, with the reason: the first 100 of left_out_count."`
	LeftOutCount int64     `json:"left_out_count,omitempty"`
}

// MaxLeftOut is the maximum length of [ReindexProgress.LeftOut].
const MaxLeftOut = 100

// LeftOut is a document that a reindex could not redo: the model refuses one of its passages, or
// its newest version had failed before the reindex.
type LeftOut struct {
	DocumentID uuid.UUID `json:"document_id"`
	Key        string    `json:"key"`
	Error      string    `json:"error"`
}

// AddLeftOut adds count to LeftOutCount, and lists the documents for which LeftOut has room.
func (p *ReindexProgress) AddLeftOut(count int64, documents ...LeftOut) {
	p.LeftOutCount += count
	room := MaxLeftOut - len(p.LeftOut)
	p.LeftOut = append(slices.Clip(p.LeftOut), documents[:min(len(documents), room)]...)
}

// ReindexEstimate is the result of a dry run: what a reindex would do and cost. Sampled says that
// Passages, Reusable and Tokens, or Summaries, are extrapolated from a part of the documents.
type ReindexEstimate struct {
	Collection string        `json:"collection"`
	Change     ReindexChange `json:"change" enum:"nothing,model,chunking"`
	Model      string        `json:"model"`
	Dimensions int           `json:"dimensions"`
	Documents  int64         `json:"documents"`
	Passages   int64         `json:"passages" doc:"Distinct passages."`
	Reusable   int64         `json:"reusable" doc:"Passages that already have a vector of the model."`
	Tokens     int64         `json:"tokens" doc:"Tokens to send to the model (cl100k_base)."`
	Cost       *float64      `json:"cost,omitempty" doc:"US dollars, from the price table; missing if the model has no price."`
	Seconds    *float64      `json:"seconds,omitempty" doc:"Duration, from the last measured rate of the model, or else of the active model; missing if there is none."`
	Sampled    bool          `json:"sampled" doc:"Extrapolated from a part of the documents."`

	Summaries SummaryEstimate `json:"summaries" doc:"Requests to the chat model for summaries of the documents that are redone. All zero if summaries are extractive, or if model or chunking change."`
}

// ReindexFilter narrows a list of reindexes. Zero fields do not narrow it.
type ReindexFilter struct {
	Collection string
	State      JobState
}

package embedding

import (
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/internal/writeback"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// maxUnwrittenBytes bounds the vectors that are paid for and not yet written.
const maxUnwrittenBytes = 64 << 20

// ProcessState is what all that buy vectors in a process share: which vectors are
// being bought, those that are paid for and not yet written, whether the
// database can be written to, and the limits of models that were met.
type ProcessState struct {
	locks        *inFlightLocks
	writeBreaker *writeback.Breaker
	unwritten    *writeback.Buffer[vectorKey, heldVector]
	limits       *modelLimits
}

// NewProcessState returns the state of a process that shares claims with others.
func NewProcessState(shared SharedLocks, gate *writeback.Breaker) *ProcessState {
	return &ProcessState{
		locks:        &inFlightLocks{shared: shared},
		writeBreaker: gate,
		unwritten:    writeback.NewBuffer[vectorKey, heldVector](maxUnwrittenBytes),
		limits:       &modelLimits{},
	}
}

// heldVector is an answer of a model. Sent is how many bytes of what is embedded it
// is of, 0 for all.
type heldVector struct {
	numbers       []float32
	embeddedBytes int
}

// bufferVectors holds vectors until they are written.
func (p *ProcessState) bufferVectors(order EnsureRequest, bought []vector.EmbeddedPassage) {
	for _, e := range bought {
		p.unwritten.Put(order.key(e.Hash), heldVector{e.Vector, e.EmbeddedBytes}, 4*len(e.Vector)+len(e.Hash))
	}
}

// findBuffered returns those of the wanted vectors that are paid for, and the hashes of
// the others.
func (p *ProcessState) findBuffered(order EnsureRequest, wanted []document.ContentHash) (bought []vector.EmbeddedPassage, missing []document.ContentHash) {
	for _, hash := range wanted {
		if v, held := p.unwritten.Get(order.key(hash)); held {
			bought = append(bought, vector.EmbeddedPassage{Hash: hash, PassageText: order.Texts.byHash[hash], Vector: v.numbers, EmbeddedBytes: v.embeddedBytes})
		} else {
			missing = append(missing, hash)
		}
	}
	return bought, missing
}

// dropBuffered lets go of vectors that the database has.
func (p *ProcessState) dropBuffered(order EnsureRequest, stored []vector.EmbeddedPassage) {
	for _, e := range stored {
		p.unwritten.Delete(order.key(e.Hash))
	}
}

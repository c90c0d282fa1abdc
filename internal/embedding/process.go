package embedding

import (
	"github.com/seed-7a112592/gristmill/internal/required"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/internal/writeback"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// maxUnwrittenBytes bounds the memory for vectors that are paid for and not yet written.
const maxUnwrittenBytes = 64 << 20

// ProcessConfig is what the state of a process needs.
type ProcessConfig struct {
	Locks        SharedLocks // hold the locks of the process against other processes
	WriteBreaker *writeback.Breaker
}

// ProcessState is the state that all caches of a process share: the in-flight locks, the vectors
// that are paid for and not yet written, whether the database accepts writes, and the learned
// limits of models.
type ProcessState struct {
	locks        *inFlightLocks
	writeBreaker *writeback.Breaker
	unwritten    *writeback.Buffer[vectorKey, heldVector]
	limits       *modelLimits
}

// NewProcessState returns the state of a process, or an error that names what config lacks.
func NewProcessState(config ProcessConfig) (*ProcessState, error) {
	if err := required.Fields(config); err != nil {
		return nil, err
	}
	return &ProcessState{
		locks:        &inFlightLocks{shared: config.Locks},
		writeBreaker: config.WriteBreaker,
		unwritten:    writeback.NewBuffer[vectorKey, heldVector](maxUnwrittenBytes),
		limits:       &modelLimits{},
	}, nil
}

// heldVector is a vector that is not yet written. embeddedBytes is the length of the embedded part
// of the text in bytes, 0 if all of it is embedded.
type heldVector struct {
	numbers       []float32
	embeddedBytes int
}

// bufferVectors keeps vectors until they are written.
func (p *ProcessState) bufferVectors(req EnsureRequest, embedded []vector.EmbeddedPassage) {
	for _, e := range embedded {
		p.unwritten.Put(req.key(e.Hash), heldVector{e.Vector, e.EmbeddedBytes}, 4*len(e.Vector)+len(e.Hash))
	}
}

// findBuffered returns the wanted vectors that are paid for and not yet written, and the hashes of
// the others.
func (p *ProcessState) findBuffered(req EnsureRequest, wanted []document.ContentHash) (embedded []vector.EmbeddedPassage, missing []document.ContentHash) {
	for _, hash := range wanted {
		if v, held := p.unwritten.Get(req.key(hash)); held {
			embedded = append(embedded, vector.EmbeddedPassage{Hash: hash, PassageText: req.Texts.byHash[hash], Vector: v.numbers, EmbeddedBytes: v.embeddedBytes})
		} else {
			missing = append(missing, hash)
		}
	}
	return embedded, missing
}

// dropBuffered removes vectors that the database has stored.
func (p *ProcessState) dropBuffered(req EnsureRequest, stored []vector.EmbeddedPassage) {
	for _, e := range stored {
		p.unwritten.Delete(req.key(e.Hash))
	}
}

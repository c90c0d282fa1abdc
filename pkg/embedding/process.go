package embedding

import (
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/writeback"
)

// unsavedBytes bounds the vectors that are paid for and not yet written.
const unsavedBytes = 64 << 20

// Process is what all that buy vectors in a process share: which vectors are
// being bought, those that are paid for and not yet written, whether the
// database can be written to, and the limits of models that were met.
type Process struct {
	claims  *claims
	gate    *writeback.Gate
	unsaved *writeback.Buffer[claim, vector]
	limits  *limits
}

// NewProcess returns the state of a process that shares claims with others.
func NewProcess(shared Shared, gate *writeback.Gate) *Process {
	return &Process{
		claims:  &claims{Shared: shared},
		gate:    gate,
		unsaved: writeback.NewBuffer[claim, vector](unsavedBytes),
		limits:  &limits{},
	}
}

// vector is an answer of a model. Sent is how many bytes of what is embedded it
// is of, 0 for all.
type vector struct {
	of   []float32
	sent int
}

// hold holds vectors until they are written.
func (p *Process) hold(order Order, bought []document.Embedded) {
	for _, e := range bought {
		p.unsaved.Put(order.claim(e.Hash), vector{e.Vector, e.EmbeddedBytes}, 4*len(e.Vector)+len(e.Hash))
	}
}

// held returns those of the wanted vectors that are paid for, and the hashes of
// the others.
func (p *Process) held(order Order, wanted []document.Hash) (bought []document.Embedded, missing []document.Hash) {
	for _, hash := range wanted {
		if v, held := p.unsaved.Get(order.claim(hash)); held {
			bought = append(bought, document.Embedded{Hash: hash, Text: order.Texts.of[hash], Vector: v.of, EmbeddedBytes: v.sent})
		} else {
			missing = append(missing, hash)
		}
	}
	return bought, missing
}

// written lets go of vectors that the database has.
func (p *Process) written(order Order, stored []document.Embedded) {
	for _, e := range stored {
		p.unsaved.Delete(order.claim(e.Hash))
	}
}

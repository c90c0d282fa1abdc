package knowledge

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/embedding"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// maxNamed is how many refused passages an error names.
const maxNamed = 5

// refusedPassages are the passages of a version that the model does not take.
// All others are embedded and kept, so that the version fails for them alone,
// and a corrected upload costs no more than them.
type refusedPassages struct {
	mu    sync.Mutex
	named []refusedPassage // the first ones
	count int
}

type refusedPassage struct {
	place document.Place
	path  []string
	words string // of the provider
}

// add notes the passages of a batch that were refused. It returns an error if
// that is not all there is to err, or if the model takes nothing at all.
func (r *refusedPassages) add(b *batch, model string, err error) error {
	refused, ok := errors.AsType[*embedding.RefusedError](err)
	if !ok {
		return err
	}
	words := make(map[document.Hash]string, len(refused.Refusals))
	for _, refusal := range refused.Refusals {
		words[refusal.Hash] = refusal.Words()
	}
	r.note(b, words)
	if refused.Untried > 0 {
		return r.err(model)
	}
	return nil
}

func (r *refusedPassages) note(b *batch, words map[document.Hash]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, place := range b.places {
		if said, is := words[place.Hash]; is {
			r.count++
			r.named = append(r.named, refusedPassage{place, b.texts.Get(place.Hash).HeadingPath, said})
		}
	}
	slices.SortFunc(r.named, func(a, b refusedPassage) int { return cmp.Compare(a.place.Ordinal, b.place.Ordinal) })
	r.named = r.named[:min(len(r.named), maxNamed)]
}

// err names the passages that were refused; nil if there are none.
func (r *refusedPassages) err(model string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count == 0 {
		return nil
	}
	var detail strings.Builder
	fmt.Fprintf(&detail, "model %s does not take %d of the document's passages; the others are embedded and kept", model, r.count)
	for _, p := range r.named {
		fmt.Fprintf(&detail, "; passage %d", p.place.Ordinal)
		if len(p.path) > 0 {
			fmt.Fprintf(&detail, " (%s)", strings.Join(p.path, " > "))
		}
		fmt.Fprintf(&detail, ", bytes %d to %d: %s", p.place.Start, p.place.End, p.words)
	}
	if more := r.count - len(r.named); more > 0 {
		fmt.Fprintf(&detail, "; and %d more", more)
	}
	return fault.New(fault.Refused, "%s", detail.String()).At(r.named[0].place.Start)
}

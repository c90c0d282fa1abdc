package knowledge

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/seed-7a112592/gristmill/internal/embedding"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// maxListed is how many refused passages an error names.
const maxListed = 5

// refusedPassages are the passages of a version that the model does not take.
// All others are embedded and kept, so that the version fails for them alone,
// and a corrected upload costs no more than them.
type refusedPassages struct {
	mu     sync.Mutex
	listed []refusedPassage // the first ones
	count  int
}

type refusedPassage struct {
	entry  vector.ManifestEntry
	path   []string
	reason string // of the provider
}

// add notes the passages of a batch that were refused. It returns an error if
// that is not all there is to err, or if the model takes nothing at all.
func (r *refusedPassages) add(b *batch, model string, err error) error {
	refused, ok := errors.AsType[*embedding.RefusedError](err)
	if !ok {
		return err
	}
	words := make(map[document.ContentHash]string, len(refused.Refusals))
	for _, refusal := range refused.Refusals {
		words[refusal.Hash] = refusal.Reason()
	}
	r.record(b, words)
	if refused.Untried > 0 {
		return r.toError(model)
	}
	return nil
}

func (r *refusedPassages) record(b *batch, words map[document.ContentHash]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, place := range b.entries {
		if said, is := words[place.Hash]; is {
			r.count++
			r.listed = append(r.listed, refusedPassage{place, b.texts.Get(place.Hash).HeadingPath, said})
		}
	}
	slices.SortFunc(r.listed, func(a, b refusedPassage) int { return cmp.Compare(a.entry.Ordinal, b.entry.Ordinal) })
	r.listed = r.listed[:min(len(r.listed), maxListed)]
}

// toError names the passages that were refused; nil if there are none.
func (r *refusedPassages) toError(model string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count == 0 {
		return nil
	}
	var detail strings.Builder
	fmt.Fprintf(&detail, "model %s does not take %d of the document's passages; the others are embedded and kept", model, r.count)
	for _, p := range r.listed {
		fmt.Fprintf(&detail, "; passage %d", p.entry.Ordinal)
		if len(p.path) > 0 {
			fmt.Fprintf(&detail, " (%s)", strings.Join(p.path, " > "))
		}
		fmt.Fprintf(&detail, ", bytes %d to %d: %s", p.entry.Start, p.entry.End, p.reason)
	}
	if more := r.count - len(r.listed); more > 0 {
		fmt.Fprintf(&detail, "; and %d more", more)
	}
	return fault.New(fault.InputRejected, "%s", detail.String()).WithOffset(r.listed[0].entry.Start)
}

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

// maxListed is the maximum number of refused passages that an error lists.
const maxListed = 5

// refusedPassages are the passages of a version that the model refuses. All others are embedded and
// kept, so that a corrected upload pays only for the corrected passages.
type refusedPassages struct {
	mu     sync.Mutex
	listed []refusedPassage // the first maxListed
	count  int              // number of all
}

type refusedPassage struct {
	entry  vector.ManifestEntry
	path   []string
	reason string // given by the provider
}

// add records the passages of a batch that were refused. It returns err if err is another error, and
// the error of the version if the model refuses everything.
func (r *refusedPassages) add(b *batch, model string, err error) error {
	refused, ok := errors.AsType[*embedding.RefusedError](err)
	if !ok {
		return err
	}
	reasons := make(map[document.ContentHash]string, len(refused.Refusals))
	for _, refusal := range refused.Refusals {
		reasons[refusal.Hash] = refusal.Reason()
	}
	r.record(b, reasons)
	if refused.Untried > 0 {
		return r.toError(model)
	}
	return nil
}

func (r *refusedPassages) record(b *batch, reasons map[document.ContentHash]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, entry := range b.entries {
		if reason, refused := reasons[entry.Hash]; refused {
			r.count++
			r.listed = append(r.listed, refusedPassage{entry, b.texts.Get(entry.Hash).HeadingPath, reason})
		}
	}
	slices.SortFunc(r.listed, func(a, b refusedPassage) int { return cmp.Compare(a.entry.Ordinal, b.entry.Ordinal) })
	r.listed = r.listed[:min(len(r.listed), maxListed)]
}

// toError returns an error that lists the refused passages, or nil if there are none.
func (r *refusedPassages) toError(model string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count == 0 {
		return nil
	}
	var detail strings.Builder
	fmt.Fprintf(&detail, "model %s refuses %d of the document's passages; the others are embedded and kept", model, r.count)
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

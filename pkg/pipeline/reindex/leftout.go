package reindex

import (
	"context"
	"fmt"
	"strings"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/embedding"
	"github.com/seed-7a112592/gristmill/pkg/fault"
)

// leaveOut takes the documents out of the unit that have a passage that the
// model does not take. They cannot stand in the space; the reindex goes on
// without them, and lists them.
func (b *builder) leaveOut(ctx context.Context, u *unit, refused *embedding.RefusedError) {
	words := make(map[document.Hash]string, len(refused.Refusals))
	for _, refusal := range refused.Refusals {
		words[refusal.Hash] = refusal.Words()
	}
	kept := &unit{documents: u.documents, bytes: u.bytes, reached: u.reached, embedded: u.embedded, cut: u.cut}
	for _, part := range u.places {
		if why := refusedPassage(u, part, words, b.to.Model.Name); why != "" {
			b.step.Log.WarnContext(ctx, "document is left out", "document", part.Document, "key", part.Key, "reason", why)
			b.progress.LeaveOut(1, document.LeftOut{Document: part.Document, Key: part.Key, Error: why})
			if part.Whole < 0 { // there is more of it to come
				b.leftOut[part.Unplaced] = true
			}
			part.Places, part.Whole, part.LeftOut = nil, 0, why
		}
		for _, place := range part.Places {
			kept.texts.Add(place.Hash, u.texts.Get(place.Hash))
			kept.tokens += u.texts.Get(place.Hash).Tokens
		}
		kept.count += len(part.Places)
		kept.places = append(kept.places, part)
	}
	kept.count = max(kept.count, kept.embedded) // what was embedded of them counts too
	*u = *kept
}

// refusedPassage names the first passage of a part of a document that is
// refused; "" when none is.
func refusedPassage(u *unit, part document.RebuiltPlaces, words map[document.Hash]string, model string) string {
	for _, place := range part.Places {
		said, refused := words[place.Hash]
		if !refused {
			continue
		}
		path := ""
		if headings := u.texts.Get(place.Hash).HeadingPath; len(headings) > 0 {
			path = " (" + strings.Join(headings, " > ") + ")"
		}
		return fmt.Sprintf("model %s does not take passage %d%s, bytes %d to %d: %s", model, place.Ordinal, path, place.Start, place.End, said)
	}
	return ""
}

// leaveOutLost leaves a document out whose original is gone or damaged, or whose
// passages are lost besides.
func (b *builder) leaveOutLost(ctx context.Context, d document.Unplaced, lost error) {
	why := fault.As(lost).Detail
	b.step.Log.WarnContext(ctx, "document is left out", "document", d.Document, "key", d.Key, "reason", lost)
	b.progress.LeaveOut(1, document.LeftOut{Document: d.Document, Key: d.Key, Error: why})
	b.unit.end(d, 0, b.ordered)
	b.unit.of(d).LeftOut = why
}

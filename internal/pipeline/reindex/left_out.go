package reindex

import (
	"context"
	"fmt"
	"strings"

	"github.com/seed-7a112592/gristmill/internal/embedding"
	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/rebuild"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// leaveOutRefused takes the documents out of the unit that have a passage that the
// model does not take. They cannot stand in the space; the reindex goes on
// without them, and lists them.
func (b *spaceBuilder) leaveOutRefused(ctx context.Context, u *writeBatch, refused *embedding.RefusedError) {
	words := make(map[document.ContentHash]string, len(refused.Refusals))
	for _, refusal := range refused.Refusals {
		words[refusal.Hash] = refusal.Reason()
	}
	kept := &writeBatch{documents: u.documents, bytes: u.bytes, reached: u.reached, embedded: u.embedded, truncated: u.truncated}
	for _, part := range u.versions {
		if why := refusalReason(u, part, words, b.to.Model.Name); why != "" {
			b.step.Log.WarnContext(ctx, "document is left out", "document", part.DocumentID, "key", part.Key, "reason", why)
			b.progress.AddLeftOut(1, document.LeftOut{DocumentID: part.DocumentID, Key: part.Key, Error: why})
			if part.TotalEntries < 0 { // there is more of it to come
				b.leftOut[part.MissingVersion] = true
			}
			part.Entries, part.TotalEntries, part.LeftOutReason = nil, 0, why
		}
		for _, place := range part.Entries {
			kept.texts.Add(place.Hash, u.texts.Get(place.Hash))
			kept.tokens += u.texts.Get(place.Hash).Tokens
		}
		kept.passages += len(part.Entries)
		kept.versions = append(kept.versions, part)
	}
	kept.passages = max(kept.passages, kept.embedded) // what was embedded of them counts too
	*u = *kept
}

// refusalReason names the first passage of a part of a document that is
// refused; "" when none is.
func refusalReason(u *writeBatch, part rebuild.VersionWrite, words map[document.ContentHash]string, model string) string {
	for _, place := range part.Entries {
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

// leaveOutUnreadable leaves a document out whose original is gone or damaged, or whose
// passages are lost besides.
func (b *spaceBuilder) leaveOutUnreadable(ctx context.Context, d rebuild.MissingVersion, lost error) {
	why := fault.As(lost).Detail
	b.step.Log.WarnContext(ctx, "document is left out", "document", d.DocumentID, "key", d.Key, "reason", lost)
	b.progress.AddLeftOut(1, document.LeftOut{DocumentID: d.DocumentID, Key: d.Key, Error: why})
	b.pending.endVersion(d, 0, b.contiguous)
	b.pending.versionPart(d).LeftOutReason = why
}

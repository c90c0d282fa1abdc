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

// leaveOutRefused leaves out the documents of the batch that have a refused passage, because they
// cannot be complete in the space. The reindex goes on without them, and lists them.
func (b *spaceBuilder) leaveOutRefused(ctx context.Context, w *writeBatch, refused *embedding.RefusedError) {
	reasons := make(map[document.ContentHash]string, len(refused.Refusals))
	for _, refusal := range refused.Refusals {
		reasons[refusal.Hash] = refusal.Reason()
	}
	kept := &writeBatch{documents: w.documents, bytes: w.bytes, checkpoint: w.checkpoint, embedded: w.embedded, truncated: w.truncated}
	for _, part := range w.versions {
		if why := refusalReason(w, part, reasons, b.to.Model.Name); why != "" {
			b.step.Log.WarnContext(ctx, "document is left out", "document", part.DocumentID, "key", part.Key, "reason", why)
			b.progress.AddLeftOut(1, document.LeftOut{DocumentID: part.DocumentID, Key: part.Key, Error: why})
			if part.TotalEntries < 0 { // more passages of the version follow
				b.leftOut[part.MissingVersion] = true
			}
			part.Entries, part.TotalEntries, part.LeftOutReason = nil, 0, why
		}
		for _, entry := range part.Entries {
			kept.texts.Add(entry.Hash, w.texts.Get(entry.Hash))
			kept.tokens += w.texts.Get(entry.Hash).Tokens
		}
		kept.passages += len(part.Entries)
		kept.versions = append(kept.versions, part)
	}
	kept.passages = max(kept.passages, kept.embedded) // embedded passages of removed documents count too
	*w = *kept
}

// refusalReason describes the first refused passage of a part of a version, or returns "" if there is
// none.
func refusalReason(w *writeBatch, part rebuild.VersionWrite, reasons map[document.ContentHash]string, model string) string {
	for _, entry := range part.Entries {
		reason, refused := reasons[entry.Hash]
		if !refused {
			continue
		}
		path := ""
		if headings := w.texts.Get(entry.Hash).HeadingPath; len(headings) > 0 {
			path = " (" + strings.Join(headings, " > ") + ")"
		}
		return fmt.Sprintf("model %s refuses passage %d%s, bytes %d to %d: %s", model, entry.Ordinal, path, entry.Start, entry.End, reason)
	}
	return ""
}

// leaveOutUnreadable leaves out a document whose original is missing or damaged, and whose stored
// passages cannot be used either.
func (b *spaceBuilder) leaveOutUnreadable(ctx context.Context, d rebuild.MissingVersion, readErr error) {
	why := fault.As(readErr).Detail
	b.step.Log.WarnContext(ctx, "document is left out", "document", d.DocumentID, "key", d.Key, "reason", readErr)
	b.progress.AddLeftOut(1, document.LeftOut{DocumentID: d.DocumentID, Key: d.Key, Error: why})
	b.pending.endVersion(d, 0, b.contiguous)
	b.pending.versionPart(d).LeftOutReason = why
}

package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/tenant"
	"github.com/seed-7a112592/gristmill/internal/vector"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// modelMismatch is a collection whose active space has another model than the configured one. That
// is not an error: the collection keeps its model until it is re-indexed.
type modelMismatch struct {
	tenant     string
	collection vector.Collection
	configured document.Model
}

// reindexCommand returns the command that re-indexes the collection to the configured model.
func (m modelMismatch) reindexCommand() string {
	command := fmt.Sprintf("gristmill reindex --collection %s --model %s", shellQuote(m.collection.Name), shellQuote(m.configured.Name))
	if m.configured.Dimensions > 0 {
		command += fmt.Sprintf(" --dimensions %d", m.configured.Dimensions)
	}
	return command
}

// String describes the difference and the command that removes it.
func (m modelMismatch) String() string {
	return fmt.Sprintf("collection %q of tenant %s is searched with %s, but %s is configured; to change the collection, run: %s",
		m.collection.Name, m.tenant, describeModel(m.collection.ActiveSpace.Model), describeModel(m.configured), m.reindexCommand())
}

// describeModel returns the name of a model, with its dimensions if they are known.
func describeModel(model document.Model) string {
	if model.Dimensions == 0 {
		return model.Name
	}
	return fmt.Sprintf("%s (%d dimensions)", model.Name, model.Dimensions)
}

// isOther reports whether a model differs from the configured one. The dimensions of the configured
// model may be unknown (0); then only the names are compared.
func isOther(model, configured document.Model) bool {
	if configured.Dimensions == 0 {
		return model.Name != configured.Name
	}
	return model != configured
}

// maxNamed is the maximum number of collections that the log and the doctor name.
const maxNamed = 20

// modelMismatches are the collections whose model differs from the configured one.
type modelMismatches struct {
	named    []modelMismatch // at most maxNamed
	unnamed  int             // number of the others
	anyEmpty bool            // a collection without passages exists; it will adopt the configured model
}

// findModelMismatches reads all collections of all tenants, a page at a time.
func findModelMismatches(ctx context.Context, store Store, configured document.Model) (found modelMismatches, err error) {
	const pageSize = 500
	tenants, err := store.Tenants(ctx)
	if err != nil {
		return found, err
	}
	for _, id := range tenants {
		for page := (document.Page{Limit: pageSize}); ; {
			list, err := store.Collections(tenant.With(ctx, id), page)
			if err != nil {
				return found, err
			}
			for _, collection := range list.Items {
				found.add(modelMismatch{id, collection, configured})
			}
			if page.Cursor = list.NextCursor; page.Cursor == "" {
				break
			}
		}
	}
	return found, nil
}

func (all *modelMismatches) add(m modelMismatch) {
	switch {
	case m.collection.SpaceReplaceable:
		all.anyEmpty = true
	case !isOther(m.collection.ActiveSpace.Model, m.configured):
	case len(all.named) == maxNamed:
		all.unnamed++
	default:
		all.named = append(all.named, m)
	}
}

// WarnOfModelMismatches logs, once, the collections whose model differs from the configured one. If
// there is a collection without passages, it also probes the configured model. It retries while the
// database does not answer, or is not migrated.
func WarnOfModelMismatches(ctx context.Context, config Config, b *Backends) {
	const pause = 5 * time.Second
	for warned := false; ; {
		mismatches, err := findModelMismatches(ctx, b.Store, config.defaultModel())
		if err == nil {
			if mismatches.anyEmpty {
				b.ConfiguredModel.StartProbe(ctx)
			}
			for _, m := range mismatches.named {
				b.Log.WarnContext(ctx, "a collection keeps a model other than the configured one",
					"tenant", m.tenant, "collection", m.collection.Name,
					"model", m.collection.ActiveSpace.Model.Name, "dimensions", m.collection.ActiveSpace.Model.Dimensions,
					"configured", m.configured.Name, "configured_dimensions", m.configured.Dimensions,
					"reindex_command", m.reindexCommand())
			}
			if mismatches.unnamed > 0 {
				b.Log.WarnContext(ctx, "more collections keep models other than the configured one", "collections", mismatches.unnamed)
			}
			return
		}
		if !warned && !fault.Is(err, fault.Unavailable) && ctx.Err() == nil {
			b.Log.WarnContext(ctx, "the models of the collections cannot be compared with the configured one yet; trying again", "error", err)
			warned = true
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// shellQuote quotes the text as one word for a shell.
func shellQuote(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@%+=,", r)
	}
	if text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

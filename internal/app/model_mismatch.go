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

// modelMismatch is a collection that is served with another model than the one
// configured. That is no fault: it goes on so until somebody re-indexes it.
type modelMismatch struct {
	tenant     string
	collection vector.Collection
	configured document.Model
}

// reindexCommand returns what to run to have the collection served with the model that
// is configured.
func (o modelMismatch) reindexCommand() string {
	command := fmt.Sprintf("gristmill reindex --collection %s --model %s", shellQuote(o.collection.Name), shellQuote(o.configured.Name))
	if o.configured.Dimensions > 0 {
		command += fmt.Sprintf(" --dimensions %d", o.configured.Dimensions)
	}
	return command
}

// String says what differs and what to run.
func (o modelMismatch) String() string {
	return fmt.Sprintf("collection %q of tenant %s is served with %s, and %s is configured; to change over, run: %s",
		o.collection.Name, o.tenant, describeModel(o.collection.ActiveSpace.Model), describeModel(o.configured), o.reindexCommand())
}

// describeModel names a model for people, with the length of its vectors where that
// is known.
func describeModel(model document.Model) string {
	if model.Dimensions == 0 {
		return model.Name
	}
	return fmt.Sprintf("%s (%d dimensions)", model.Name, model.Dimensions)
}

// isOther reports whether a model is another than the one configured, of which
// the length may not be known.
func isOther(model, configured document.Model) bool {
	if configured.Dimensions == 0 {
		return model.Name != configured.Name
	}
	return model != configured
}

// maxNamed is the maximum number of collections that are named in the log and by the
// doctor.
const maxNamed = 20

// modelMismatches are the collections that are served with another model than the one
// configured.
type modelMismatches struct {
	named        []modelMismatch // maxNamed of them at most
	unnamed      int
	anyUnsettled bool // some collections hold nothing yet, and will take the model that is configured
}

// findModelMismatches looks through all collections, a page at a time.
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

func (o *modelMismatches) add(other modelMismatch) {
	switch {
	case other.collection.SpaceReplaceable:
		o.anyUnsettled = true
	case !isOther(other.collection.ActiveSpace.Model, other.configured):
	case len(o.named) == maxNamed:
		o.unnamed++
	default:
		o.named = append(o.named, other)
	}
}

// WarnOfModelMismatches logs, once, which collections are served with another model than
// the one configured, and has that one asked for a vector where some wait for
// it. It waits for a database that does not answer yet, or is not migrated.
func WarnOfModelMismatches(ctx context.Context, config Config, b *Backends) {
	const pause = 5 * time.Second
	for said := false; ; {
		others, err := findModelMismatches(ctx, b.Store, config.defaultModel())
		if err == nil {
			if others.anyUnsettled {
				b.ConfiguredModel.StartProbe(ctx)
			}
			for _, other := range others.named {
				b.Log.WarnContext(ctx, "a collection is served with another model than the one configured, and goes on so",
					"tenant", other.tenant, "collection", other.collection.Name,
					"model", other.collection.ActiveSpace.Model.Name, "dimensions", other.collection.ActiveSpace.Model.Dimensions,
					"configured", other.configured.Name, "configured_dimensions", other.configured.Dimensions,
					"to_change_over_run", other.reindexCommand())
			}
			if others.unnamed > 0 {
				b.Log.WarnContext(ctx, "more collections are served with other models than the one configured", "collections", others.unnamed)
			}
			return
		}
		if !said && !fault.Is(err, fault.Unavailable) && ctx.Err() == nil {
			b.Log.WarnContext(ctx, "cannot look yet whether collections are served with another model than the one configured", "error", err)
			said = true
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// shellQuote returns the text as one word of a shell.
func shellQuote(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@%+=,", r)
	}
	if text != "" && strings.IndexFunc(text, func(r rune) bool { return !plain(r) }) < 0 {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

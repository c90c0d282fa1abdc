package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/fault"
	"github.com/seed-7a112592/gristmill/pkg/tenant"
)

// otherModel is a collection that is served with another model than the one
// configured. That is no fault: it goes on so until somebody re-indexes it.
type otherModel struct {
	tenant     string
	collection document.Collection
	configured document.Model
}

// command returns what to run to have the collection served with the model that
// is configured.
func (o otherModel) command() string {
	command := fmt.Sprintf("gristmill reindex --collection %s --model %s", shellQuote(o.collection.Name), shellQuote(o.configured.Name))
	if o.configured.Dimensions > 0 {
		command += fmt.Sprintf(" --dimensions %d", o.configured.Dimensions)
	}
	return command
}

// String says what differs and what to run.
func (o otherModel) String() string {
	return fmt.Sprintf("collection %q of tenant %s is served with %s, and %s is configured; to change over, run: %s",
		o.collection.Name, o.tenant, describe(o.collection.Space.Model), describe(o.configured), o.command())
}

// describe names a model for people, with the length of its vectors where that
// is known.
func describe(model document.Model) string {
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

// otherModels returns every collection that is served with another model, and
// whether there are some that hold nothing yet and will take the one configured.
func otherModels(ctx context.Context, store Store, configured document.Model) (others []otherModel, unsettled bool, err error) {
	tenants, err := store.Tenants(ctx)
	if err != nil {
		return nil, false, err
	}
	for _, id := range tenants {
		collections, err := store.Collections(tenant.With(ctx, id))
		if err != nil {
			return nil, false, err
		}
		for _, collection := range collections {
			unsettled = unsettled || collection.Unsettled
			if !collection.Unsettled && isOther(collection.Space.Model, configured) {
				others = append(others, otherModel{id, collection, configured})
			}
		}
	}
	return others, unsettled, nil
}

// WarnOfModels logs, once, which collections are served with another model than
// the one configured, and has that one asked for a vector where some wait for
// it. It waits for a database that does not answer yet, or is not migrated.
func WarnOfModels(ctx context.Context, config Config, b *Backends) {
	const pause = 5 * time.Second
	for said := false; ; {
		others, unsettled, err := otherModels(ctx, b.Store, config.model())
		if err == nil {
			if unsettled {
				b.Configured.Learn(ctx)
			}
			for _, other := range others {
				b.Log.WarnContext(ctx, "a collection is served with another model than the one configured, and goes on so",
					"tenant", other.tenant, "collection", other.collection.Name,
					"model", other.collection.Space.Model.Name, "dimensions", other.collection.Space.Model.Dimensions,
					"configured", other.configured.Name, "configured_dimensions", other.configured.Dimensions,
					"to_change_over_run", other.command())
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

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
	return fmt.Sprintf("gristmill reindex --collection %s --model %s --dimensions %d",
		shellQuote(o.collection.Name), shellQuote(o.configured.Name), o.configured.Dimensions)
}

// String says what differs and what to run.
func (o otherModel) String() string {
	live := o.collection.Space.Model
	return fmt.Sprintf("collection %q of tenant %s is served with %s (%d dimensions), and %s (%d dimensions) is configured; to change over, run: %s",
		o.collection.Name, o.tenant, live.Name, live.Dimensions, o.configured.Name, o.configured.Dimensions, o.command())
}

// otherModels returns every collection that is served with another model.
func otherModels(ctx context.Context, store Store, configured document.Model) ([]otherModel, error) {
	tenants, err := store.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	var others []otherModel
	for _, id := range tenants {
		collections, err := store.Collections(tenant.With(ctx, id))
		if err != nil {
			return nil, err
		}
		for _, collection := range collections {
			if collection.Space.Model != configured {
				others = append(others, otherModel{id, collection, configured})
			}
		}
	}
	return others, nil
}

// WarnOfModels logs, once, which collections are served with another model than
// the one configured. It waits for a database that does not answer yet,
// or is not migrated.
func WarnOfModels(ctx context.Context, config Config, b *Backends) {
	const pause = 5 * time.Second
	for said := false; ; {
		others, err := otherModels(ctx, b.Store, config.model())
		if err == nil {
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

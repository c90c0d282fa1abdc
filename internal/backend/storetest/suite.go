package storetest

import (
	"testing"
)

// OtherTenant is the second tenant of every store under test; the first is
// tenant.Default.
const OtherTenant = "other"

// Run holds a store to the contract. Each call of open returns an empty store
// with the tenants tenant.Default and Other, closed when the test ends.
func Run(t *testing.T, open func(t *testing.T) Store) {
	for name, part := range map[string]func(*testing.T, func(*testing.T) Store){
		"Ingest":                ingest,
		"Uploads":               uploads,
		"Idempotency":           idempotency,
		"Backlog":               backlog,
		"Dispatch":              dispatching,
		"Dispatch of reindexes": dispatchingReindexes,
		"Tasks":                 tasks,
		"Steering":              jobControl,
		"Knowledge":             knowledge,
		"Summaries":             summaries,
		"Sections":              sections,
		"Searching":             searching,
		"Reading":               reading,
		"Reindexing":            reindexing,
		"Spaces":                spaces,
		"Preparing":             preparing,
		"Outbox":                outbox,
		"Sweeping":              sweeping,
		"Garbage":               testGarbage,
		"Restoring":             restoring,
		"Comparing":             verifying,
		"Tenants":               tenants,
		"Tenants of reindexes":  tenantsOfReindexes,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			part(t, open)
		})
	}
}

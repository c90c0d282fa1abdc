package audit

import (
	"testing"

	"github.com/seed-7a112592/gristmill/pkg/app"
	"github.com/seed-7a112592/gristmill/pkg/document"
	"github.com/seed-7a112592/gristmill/pkg/pipeline/verify"
)

// checkStored does what gristmill verify does: every original is what was
// uploaded, every live version is its passages with their vectors, and object
// storage holds nothing that nobody names.
func (a Audit) checkStored(t testing.TB) {
	t.Helper()
	config, err := app.Load(a.Site.Env(), app.Stored)
	if err != nil {
		t.Fatal(err)
	}
	tally, err := app.Verify(t.Context(), config, logOf(t), verify.Scope{}, verify.Report{Found: func(f document.Finding) error {
		t.Errorf("%+v", f)
		return nil
	}})
	if err != nil {
		t.Errorf("verify: %v", err)
	}
	t.Logf("audit: %+v", tally)
}

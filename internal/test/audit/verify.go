package audit

import (
	"testing"

	"github.com/seed-7a112592/gristmill/internal/app"
	"github.com/seed-7a112592/gristmill/internal/pipeline/verify"
	"github.com/seed-7a112592/gristmill/internal/verification"
)

// checkVerify runs the checks of gristmill verify: every original is what was uploaded, every
// published version has all its passages with their vectors, and object storage holds no
// unreferenced object.
func (a Audit) checkVerify(t testing.TB) {
	t.Helper()
	config, err := app.Load(a.Installation.Env(), app.RequireStorage)
	if err != nil {
		t.Fatal(err)
	}
	tally, err := app.Verify(t.Context(), config, testLogger(t), verify.Scope{}, verify.Observer{OnFinding: func(f verification.Finding) error {
		t.Errorf("%+v", f)
		return nil
	}})
	if err != nil {
		t.Errorf("verify: %v", err)
	}
	t.Logf("audit: %+v", tally)
}

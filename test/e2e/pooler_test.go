package e2e_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/audit"
	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/internal/test/services"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Everything works through PgBouncer in transaction mode, with fewer server connections than the
// programs have to PgBouncer.
func TestThroughPooler(t *testing.T) {
	t.Parallel()
	provider := fakeprovider.Start(t, fakeprovider.Options{Dimensions: 64, RecordTexts: true, Semantic: true})
	s := program.NewInstallation(t, chatEnv(provider)...)
	direct := s.AppURL
	s.AppURL = services.PgBouncerURL(t, direct)
	s.ExtraEnv = append(s.ExtraEnv, "GRISTMILL_DATABASE_DIRECT_URL="+direct)
	checkServers(t, s, provider)

	// A reindex copies vectors of a new model in, then the old model's space is dropped.
	s.ExtraEnv = append(s.ExtraEnv, "GRISTMILL_REINDEX_SOAK=0s")
	api := s.Start("api")
	worker := s.Start("worker-knowledge")
	s.Start("worker-summary")
	c := api.Client(program.APIKey)
	reindex(t, c, document.ReindexRequest{Model: document.Model{Name: "other", Dimensions: 64}})
	checkSearch(t, c)
	audit.AwaitIdle(t, s, time.Minute)
	audit.CollectGarbage(t, s)
	if status, body := get(t, worker.URL()+"/readyz", nil); status != http.StatusOK {
		t.Errorf("readyz: %d %s", status, body)
	}
	doctor := program.Start(t, s.Env(), "gristmill", "doctor")
	if status := doctor.Wait(); status != 0 || !strings.Contains(doctor.Output(), "! pooler") {
		t.Errorf("doctor: %d\n%s", status, doctor.Output())
	}
}

// With a pooler but without a direct URL, everything that needs a session names the setting that is
// missing.
func TestPoolerWithoutDirectURL(t *testing.T) {
	t.Parallel()
	s := program.NewInstallation(t)
	owner, index := services.PgBouncerURL(t, s.OwnerURL), services.PgBouncerURL(t, s.IndexURL)
	s.AppURL = services.PgBouncerURL(t, s.AppURL)
	const setting = "set GRISTMILL_DATABASE_DIRECT_URL to the address of the database itself"
	worker := s.Start("worker-knowledge")
	status, body := get(t, worker.URL()+"/readyz", http.Header{"Authorization": {"Bearer " + program.APIKey}})
	if status != http.StatusServiceUnavailable || !strings.Contains(body, setting) {
		t.Errorf("readyz: %d %s", status, body)
	}
	for _, test := range []struct{ command, env, want string }{
		{"doctor", "", setting},
		{"doctor", "GRISTMILL_INDEX_DATABASE_URL=" + index, "set GRISTMILL_INDEX_DATABASE_URL to"},
		{"migrate", "GRISTMILL_MIGRATE_DATABASE_URL=" + owner, "set GRISTMILL_MIGRATE_DATABASE_URL to"},
	} {
		command := program.Start(t, append(s.Env(), test.env), "gristmill", test.command)
		if status := command.Wait(); status == 0 || !strings.Contains(command.Output(), test.want) {
			t.Errorf("gristmill %s: %d\n%s", test.command, status, command.Output())
		}
	}
}

package reindex_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/internal/test/await"
	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// Programs that are started with another model than the one that a collection
// is served with go on serving it, and say what to run to change over. It does.
func TestDoctorSaysWhatToRun(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t, 10*time.Millisecond)
	tr := newTraffic(m, corpusFiles(t, 8))
	if says := m.doctor(); strings.Contains(says, "gristmill reindex") {
		t.Errorf("the doctor says although nothing differs:\n%s", says)
	}
	m.restart("GRISTMILL_EMBEDDING_MODEL="+largeModel.Name, "GRISTMILL_EMBEDDING_DIMENSIONS="+strconv.Itoa(largeModel.Dimensions))
	if err := tr.searchOnce(t.Context(), nil); err != nil {
		t.Errorf("a search before the change: %v", err)
	}
	tr.put(t.Context(), stableKeys+"later.md", 1)
	m.wantActiveModel(smallModel)
	if n := len(m.sentTexts(largeModel)); n > 0 {
		t.Errorf("%d texts were sent to the model that is configured and serves nothing", n)
	}

	says := m.doctor()
	_, command, found := strings.Cut(says, "run: ")
	command, _, _ = strings.Cut(command, "\n")
	if !found || !strings.HasPrefix(command, "gristmill reindex ") {
		t.Fatalf("the doctor does not say what to run:\n%s", says)
	}
	for _, name := range programs {
		await.Until(t, name+" says what to run", func() bool { return strings.Contains(m.program(name).Output(), command) })
	}

	tr.spaces.expectSwitch(largeModel)
	m.run(command + " --watch")
	tr.spaces.confirmSwitch()
	m.wantActiveModel(largeModel)
	if err := tr.searchOnce(t.Context(), nil); err != nil {
		t.Errorf("a search after the change: %v", err)
	}
	if says := m.doctor(); strings.Contains(says, "gristmill reindex") {
		t.Errorf("the doctor still says after the change:\n%s", says)
	}
	list, err := m.client().Reindexes(t.Context(), document.ReindexFilter{Collection: collection}, document.Page{})
	if err != nil || len(list.Items) != 1 || list.Items[0].State != document.JobSucceeded {
		t.Errorf("reindexes: %+v, %v", list.Items, err)
	}
	m.audit(10) // probes and the doctor's own
}

// doctor returns what the doctor says. It must find all to be well.
func (m *testEnv) doctor() string {
	m.t.Helper()
	doctor := m.installation.Start("gristmill", "doctor")
	if status := doctor.Wait(); status != 0 {
		m.t.Errorf("gristmill doctor ended with %d:\n%s", status, doctor.Output())
	}
	return doctor.Output()
}

// run runs a command line as a shell does, which finds gristmill in its working
// directory. It must end well.
func (m *testEnv) run(command string) {
	m.t.Helper()
	env := []string{"PATH=.", "GRISTMILL_SERVER=" + m.program("api").URL(), "GRISTMILL_KEY=" + program.APIKey}
	shell := program.Start(m.t, env, "/bin/sh", "-c", command)
	if status := shell.Wait(); status != 0 {
		m.t.Fatalf("%s ended with %d:\n%s", command, status, shell.Output())
	}
	m.t.Logf("%s:\n%s", command, shell.Output())
}

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

// Programs that are started with another model than that of the active space keep serving the
// collection with its model, and log the command that changes it. The command works.
func TestDoctorPrintsReindexCommand(t *testing.T) {
	t.Parallel()
	m := newTestEnv(t, 10*time.Millisecond)
	tr := newTraffic(m, corpusFiles(t, 8))
	if output := m.doctor(); strings.Contains(output, "gristmill reindex") {
		t.Errorf("doctor prints a reindex command although nothing differs:\n%s", output)
	}
	m.restart("GRISTMILL_EMBEDDING_MODEL="+largeModel.Name, "GRISTMILL_EMBEDDING_DIMENSIONS="+strconv.Itoa(largeModel.Dimensions))
	if err := tr.searchOnce(t.Context(), nil); err != nil {
		t.Errorf("a search before the change: %v", err)
	}
	tr.put(t.Context(), stableKeys+"later.md", 1)
	m.wantActiveModel(smallModel)
	if n := len(m.sentTexts(largeModel)); n > 0 {
		t.Errorf("%d texts were sent to the configured model, which serves no collection", n)
	}

	output := m.doctor()
	_, command, found := strings.Cut(output, "run: ")
	command, _, _ = strings.Cut(command, "\n")
	if !found || !strings.HasPrefix(command, "gristmill reindex ") {
		t.Fatalf("doctor does not print the command to run:\n%s", output)
	}
	for _, name := range programs {
		await.Until(t, name+" logs the command to run", func() bool { return strings.Contains(m.program(name).Output(), command) })
	}

	tr.spaces.expectSwitch(largeModel)
	m.run(command + " --watch")
	tr.spaces.confirmSwitch()
	m.wantActiveModel(largeModel)
	if err := tr.searchOnce(t.Context(), nil); err != nil {
		t.Errorf("a search after the change: %v", err)
	}
	if output := m.doctor(); strings.Contains(output, "gristmill reindex") {
		t.Errorf("doctor still prints a reindex command after the change:\n%s", output)
	}
	list, err := m.client().Reindexes(t.Context(), document.ReindexFilter{Collection: collection}, document.Page{})
	if err != nil || len(list.Items) != 1 || list.Items[0].State != document.JobSucceeded {
		t.Errorf("reindexes: %+v, %v", list.Items, err)
	}
	m.audit(10) // probes, including those of doctor
}

// doctor runs gristmill doctor and returns its output. It must exit with 0.
func (m *testEnv) doctor() string {
	m.t.Helper()
	doctor := m.installation.Start("gristmill", "doctor")
	if status := doctor.Wait(); status != 0 {
		m.t.Errorf("gristmill doctor exited with %d:\n%s", status, doctor.Output())
	}
	return doctor.Output()
}

// run runs a command line in a shell, which finds gristmill in its working directory. It must exit
// with 0.
func (m *testEnv) run(command string) {
	m.t.Helper()
	env := []string{"PATH=.", "GRISTMILL_SERVER=" + m.program("api").URL(), "GRISTMILL_KEY=" + program.APIKey}
	shell := program.Start(m.t, env, "/bin/sh", "-c", command)
	if status := shell.Wait(); status != 0 {
		m.t.Fatalf("%s exited with %d:\n%s", command, status, shell.Output())
	}
	m.t.Logf("%s:\n%s", command, shell.Output())
}

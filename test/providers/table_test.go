package providers_test

import (
	"os"
	"strings"
	"testing"
)

// expectation is what a row of docs/providers.md states.
type expectation struct {
	uploads   string // one of the outcomes
	errorText string // part of the job's error or warning; may be empty
	searches  string // answered, 503, or "answered or 503"
}

const (
	outcomeReady      = "ready"
	outcomeWaits      = "wait, then ready"
	outcomeWarned     = "ready, with a warning"
	outcomeFailed     = "failed: one document"
	outcomeExtractive = "ready, summary extractive"
)

// readTable returns the rows of docs/providers.md by name of the behaviour.
func readTable(t *testing.T) map[string]expectation {
	t.Helper()
	text, err := os.ReadFile("../../docs/providers.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]expectation{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 6 || strings.HasPrefix(strings.TrimSpace(cells[1]), "-") {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if cells[1] != "behaviour" {
			rows[cells[1]] = expectation{cells[2], cells[3], cells[4]}
		}
	}
	return rows
}

package app

import (
	"os/exec"
	"testing"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// What is printed is run as it stands, whatever a collection is called.
func TestCommandIsOneThatAShellRuns(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"docs", "", "two words", "it's", `$(rm -rf "x")`, "-x", "한국어"} {
		other := otherModel{collection: document.Collection{Name: name}, configured: document.Model{Name: "org/m:latest", Dimensions: 768}}
		out, err := exec.CommandContext(t.Context(), "sh", "-c", `gristmill() { printf '<%s>' "$@"; }; `+other.command()).Output()
		if err != nil {
			t.Fatal(err)
		}
		want := "<reindex><--collection><" + name + "><--model><org/m:latest><--dimensions><768>"
		if string(out) != want {
			t.Errorf("collection %q: the shell reads %s, want %s", name, out, want)
		}
	}
}

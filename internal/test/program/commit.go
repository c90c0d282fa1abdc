package program

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/test/repository"
)

// BuildCommit builds the programs of a commit of the repository. It returns their directory, which
// is removed when the test ends.
func BuildCommit(t testing.TB, commit string) (bin string) {
	t.Helper()
	root, err := repository.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "gristmill-commit-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	archive := exec.CommandContext(t.Context(), "git", "archive", commit)
	archive.Dir = root
	files, err := archive.Output()
	if err != nil {
		t.Fatalf("commit %q is not in the repository: %v", commit, err)
	}
	unpack := exec.CommandContext(t.Context(), "tar", "-x")
	unpack.Dir, unpack.Stdin = dir, bytes.NewReader(files)
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("unpack commit %s: %v\n%s", commit, err, out)
	}
	bin = filepath.Join(dir, "bin")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin+string(filepath.Separator), "./cmd/...")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build commit %s: %v\n%s", commit, err, out)
	}
	return bin
}

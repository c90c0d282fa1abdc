// Package program runs the real programs, built as they are shipped, as processes of tests and
// benchmarks.
package program

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/test/repository"
)

// built is the directory of the programs. They are built when the first one is started, without the
// race detector: the packages' own tests run with it.
var built struct {
	once sync.Once
	dir  string
	err  error
}

func build() (dir string, err error) {
	root, err := repository.Root()
	if err != nil {
		return "", fmt.Errorf("find the repository above the working directory: %w", err)
	}
	if dir, err = os.MkdirTemp("", "gristmill-programs-"); err != nil {
		return "", err
	}
	if err := trackSourcesForTestCache(root); err != nil {
		return dir, err
	}
	command := exec.Command("go", "build", "-o", dir, "./cmd/...")
	command.Dir = root
	if out, err := command.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("go build ./cmd/...: %w\n%s", err, out)
	}
	return dir, nil
}

// trackSourcesForTestCache reads the directories that the programs are built from. `go test` caches
// a result until a file or directory that the test has read changes, so this makes it run the tests
// again when the sources change. Importing the packages is not enough: the linker removes from the
// test what only the programs call.
func trackSourcesForTestCache(root string) error {
	for _, dir := range []string{"cmd", "internal", "pkg", "migrations"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(_ string, _ os.DirEntry, err error) error { return err })
		if err != nil {
			return fmt.Errorf("list the sources: %w", err)
		}
	}
	return nil
}

// Path returns the path of a program of cmd/. It builds the programs first, once.
func Path(t testing.TB, name string) string {
	t.Helper()
	built.once.Do(func() { built.dir, built.err = build() })
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, name)
}

// RemoveBinaries removes the built programs. A process must call it last, after its tests.
func RemoveBinaries() {
	built.once.Do(func() {})
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
}

// Package program runs the real programs, built as they are shipped, as
// processes of tests and benchmarks.
package program

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	// The programs, so that a change to them makes cached results of tests old.
	_ "github.com/seed-7a112592/gristmill/pkg/app"
	_ "github.com/seed-7a112592/gristmill/pkg/devmode"
	"github.com/seed-7a112592/gristmill/test/repository"
)

// built is the directory of the programs, which are built when one is first
// started. They are built without the race detector; the packages' own tests
// run with it.
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
	command := exec.Command("go", "build", "-o", dir, "./cmd/...")
	command.Dir = root
	if out, err := command.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("go build ./cmd/...: %w\n%s", err, out)
	}
	return dir, nil
}

// Path returns the path of a program of cmd/.
func Path(t testing.TB, name string) string {
	t.Helper()
	built.once.Do(func() { built.dir, built.err = build() })
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, name)
}

// Remove removes what was built. It is the last that a process asks of this
// package.
func Remove() {
	built.once.Do(func() {})
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
}

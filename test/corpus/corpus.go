// Package corpus finds real documents for tests and benchmarks.
package corpus

import (
	"os"
	"path/filepath"
	"testing"
)

// Dir returns the directory of the documents to test on: shared/corpus beside
// the repository where that is there, else the repository's own
// testdata/corpus, which is smaller and has all the same kinds of thing in it.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// Find is Dir for programs.
func Find() (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	for _, dir := range []string{filepath.Join(root, "..", "shared", "corpus"), filepath.Join(root, "testdata", "corpus")} {
		if _, err := os.Stat(dir); err == nil {
			return dir, nil
		}
	}
	return "", os.ErrNotExist
}

// Root returns the root of the repository, above the working directory.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", os.ErrNotExist
		}
		dir = parent
	}
}

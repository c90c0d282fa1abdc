// Package corpus finds real documents for tests and benchmarks.
package corpus

import (
	"io/fs"
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

// File is a document of a corpus.
type File struct {
	Key  string // its path in the corpus, with slashes
	Text []byte
}

// Files returns every file below a directory, in lexical order.
func Files(dir string) ([]File, error) {
	var files []File
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		key, err := filepath.Rel(dir, path)
		files = append(files, File{Key: filepath.ToSlash(key), Text: text})
		return err
	})
	return files, err
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

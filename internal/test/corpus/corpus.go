// Package corpus provides documents, and questions about them, to tests and benchmarks.
package corpus

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/test/repository"
)

// Environment variables that name larger test data than the repository's. Without them tests use
// testdata, which is small and has the same kinds of content: no test depends on files outside the
// checkout.
const (
	envCorpus = "GRISTMILL_TEST_CORPUS" // directory of documents
	envEval   = "GRISTMILL_TEST_EVAL"   // directory of questions about them, see Questions
)

// Dir returns the directory of the test documents: GRISTMILL_TEST_CORPUS, or testdata/corpus by
// default.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// Find does what Dir does, for programs.
func Find() (string, error) { return find(envCorpus, "corpus") }

// find returns the directory in the environment variable name, or testdata/own if it is not set.
// Returns an error if the directory does not exist.
func find(name, own string) (string, error) {
	dir := os.Getenv(name)
	if dir == "" {
		root, err := repository.Root()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(root, "testdata", own)
	}
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return "", fmt.Errorf("directory of test data (%s): %w", name, err)
	case !info.IsDir():
		return "", fmt.Errorf("directory of test data (%s): %s is a file", name, dir)
	}
	return dir, nil
}

// File is one document of the corpus.
type File struct {
	Key  string // path relative to the corpus, with slashes
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

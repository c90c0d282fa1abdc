// Package corpus finds documents, and questions about them, for tests and
// benchmarks.
package corpus

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/test/repository"
)

// The environment that names larger data than the repository has. Without it
// tests use the repository's own, which is small and has the same kinds of
// thing in it: nothing depends on what lies beside the checkout.
const (
	envCorpus = "GRISTMILL_TEST_CORPUS" // a directory of documents
	envEval   = "GRISTMILL_TEST_EVAL"   // a directory of questions over it, see Questions
)

// Dir returns the directory of the documents to test on: GRISTMILL_TEST_CORPUS,
// or testdata/corpus.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// Find is Dir for programs.
func Find() (string, error) { return find(envCorpus, "corpus") }

// find returns the directory that the environment names, or that of testdata.
// Either must be there.
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

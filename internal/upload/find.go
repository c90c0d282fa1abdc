// Package upload uploads files to a Gristmill server: it finds them, uploads several at the same
// time, waits for their jobs and counts the results.
package upload

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-7a112592/gristmill/pkg/document"
)

// File is a file to upload.
type File struct {
	Path string // in the file system
	Key  string // of the document
	Size int64  // in bytes
}

// fileSuffixes are the extensions of the files that are taken from a directory.
var fileSuffixes = []string{".md", ".markdown", ".mdown", ".txt"}

// Find returns the files at paths. A directory is searched for markdown and text files; the key of
// a file is its path below the directory, with slashes. Names that begin with a dot are ignored,
// and links to directories are not followed. A path that names a file is taken whatever its
// extension; its name is the key. Keys are normalised. Find returns an error if two files have the
// same key.
func Find(paths []string) ([]File, error) {
	var files []File
	for _, path := range paths {
		found, err := findIn(path)
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	byKey := map[string]string{}
	for _, file := range files {
		if other, ok := byKey[file.Key]; ok {
			return nil, fmt.Errorf("%s and %s have the same key %q; upload them into different collections", other, file.Path, file.Key)
		}
		byKey[file.Key] = file.Path
	}
	return files, nil
}

func findIn(path string) ([]File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []File{{Path: path, Key: document.NormaliseKey(info.Name()), Size: info.Size()}}, nil
	}
	var files []File
	// The root may be a link, which WalkDir would not follow.
	root, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name != root && strings.HasPrefix(entry.Name(), ".") && entry.IsDir():
			return filepath.SkipDir
		case entry.IsDir() || strings.HasPrefix(entry.Name(), "."):
			return nil
		case !slices.Contains(fileSuffixes, strings.ToLower(filepath.Ext(name))):
			return nil
		}
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a broken link
		}
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		key, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		files = append(files, File{Path: filepath.Join(path, key), Key: document.NormaliseKey(filepath.ToSlash(key)), Size: info.Size()})
		return nil
	})
	return files, err
}

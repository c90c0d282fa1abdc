package arch_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	makeTarget   = regexp.MustCompile("(?m)(?:^|`)make ([a-z]+)")
	subcommand   = regexp.MustCompile(`(?m)gristmill(?:\x60)? (dev|migrate|verify|models|upload|jobs|cancel|retry|search|reindex|doctor|keys|ask)\b`)
	link         = regexp.MustCompile(`\]\(([^)#:]+)\)`)
	repoPath     = regexp.MustCompile("`((?:cmd|pkg|internal|test|docs|scripts|migrations|testdata)/[A-Za-z0-9_./-]*)`")
	namedTests   = regexp.MustCompile("`((?:pkg|internal|test)/[a-z0-9/]+)` (Test[A-Za-z0-9]+(?:, Test[A-Za-z0-9]+)*)")
	cobraCommand = regexp.MustCompile(`Use:\s+"([a-z]+)`)
)

// Make targets, subcommands, links, paths and tests that the documentation names exist.
func TestDocumentationReferencesExist(t *testing.T) {
	t.Parallel()
	const root = "../.."
	makefile := read(t, filepath.Join(root, "Makefile"))
	commands := map[string]bool{}
	sources, err := filepath.Glob(filepath.Join(root, "internal/cli/*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range sources {
		for _, match := range cobraCommand.FindAllStringSubmatch(read(t, source), -1) {
			commands[match[1]] = true
		}
	}
	forEachPage(t, root, func(page, text string) {
		for _, match := range makeTarget.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(makefile, "\n"+match[1]+":") {
				t.Errorf("%s: there is no `make %s`", page, match[1])
			}
		}
		for _, match := range subcommand.FindAllStringSubmatch(text, -1) {
			if !commands[match[1]] {
				t.Errorf("%s: there is no `gristmill %s`", page, match[1])
			}
		}
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			exists(t, page, filepath.Join(filepath.Dir(page), match[1]))
		}
		for _, match := range repoPath.FindAllStringSubmatch(text, -1) {
			exists(t, page, filepath.Join(root, match[1]))
		}
		for _, match := range namedTests.FindAllStringSubmatch(text, -1) {
			for name := range strings.SplitSeq(match[2], ", ") {
				if !hasTest(t, filepath.Join(root, match[1]), name) {
					t.Errorf("%s: %s has no %s", page, match[1], name)
				}
			}
		}
	})
}

// hasTest reports whether the package in directory has a test with that name.
func hasTest(t *testing.T, directory, name string) bool {
	t.Helper()
	sources, err := filepath.Glob(filepath.Join(directory, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range sources {
		if strings.Contains(read(t, source), "\nfunc "+name+"(") {
			return true
		}
	}
	return false
}

func exists(t *testing.T, page, path string) {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		t.Errorf("%s: %v", page, err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

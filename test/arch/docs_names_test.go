package arch_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	// qualifiedName matches an exported name that a document quotes with its package, such as
	// `worker.DecideOutcome`. A field or method after it is not checked.
	qualifiedName = regexp.MustCompile("`([a-z][a-z0-9]*\\.[A-Z][A-Za-z0-9]*)(?:\\.[A-Za-z0-9]+)*`")

	// logMessage matches a log message that a document quotes.
	logMessage = regexp.MustCompile("logged as\\s`([^`]+)`")

	anchorLink    = regexp.MustCompile(`\]\(([^)#:]*)#([^)]+)\)`)
	heading       = regexp.MustCompile(`(?m)^#+ (.+)$`)
	notInAnchors  = regexp.MustCompile(`[^a-z0-9 _-]`)
	documentPages = []string{"README.md", "CONTRIBUTING.md", "docs/*.md"}
)

// Exported names that the documentation quotes with their package are declared in it.
func TestDocumentedNamesExist(t *testing.T) {
	t.Parallel()
	const root = "../.."
	declared := map[string]bool{}
	set := token.NewFileSet()
	for _, directory := range []string{"pkg", "internal"} {
		if err := filepath.WalkDir(filepath.Join(root, directory), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
			if err == nil {
				addDeclared(declared, file)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	forEachPage(t, root, func(page, text string) {
		for _, match := range qualifiedName.FindAllStringSubmatch(text, -1) {
			if !declared[match[1]] {
				t.Errorf("%s: no package in pkg or internal declares %s", page, match[1])
			}
		}
	})
}

// addDeclared adds the names that a file declares at its top level, each with its package.
func addDeclared(declared map[string]bool, file *ast.File) {
	add := func(name *ast.Ident) { declared[file.Name.Name+"."+name.Name] = true }
	for _, declaration := range file.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				add(d.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					add(s.Name)
				case *ast.ValueSpec:
					for _, name := range s.Names {
						add(name)
					}
				}
			}
		}
	}
}

// Links of the documentation to a heading lead to one that the page has.
func TestDocumentationAnchorsExist(t *testing.T) {
	t.Parallel()
	const root = "../.."
	forEachPage(t, root, func(page, text string) {
		for _, match := range anchorLink.FindAllStringSubmatch(text, -1) {
			target := text
			if match[1] != "" {
				target = read(t, filepath.Join(filepath.Dir(page), match[1]))
			}
			if !hasAnchor(target, match[2]) {
				t.Errorf("%s: %s has no heading with the anchor %s", page, match[1], match[2])
			}
		}
	})
}

// hasAnchor reports whether a page has a heading with an anchor, which is the heading in lower case
// without punctuation, with a hyphen for each space.
func hasAnchor(text, anchor string) bool {
	for _, match := range heading.FindAllStringSubmatch(text, -1) {
		plain := notInAnchors.ReplaceAllString(strings.ToLower(match[1]), "")
		if strings.ReplaceAll(plain, " ", "-") == anchor {
			return true
		}
	}
	return false
}

// forEachPage calls check with the path and the text of every page of the documentation.
func forEachPage(t *testing.T, root string, check func(page, text string)) {
	t.Helper()
	for _, pattern := range documentPages {
		pages, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(pages) == 0 {
			t.Fatalf("%d pages match %s, %v", len(pages), pattern, err)
		}
		for _, page := range pages {
			check(page, read(t, page))
		}
	}
}

// Log messages that the documentation quotes are in the sources, so that an operator can search for
// them.
func TestDocumentedLogMessagesExist(t *testing.T) {
	t.Parallel()
	const root = "../.."
	var sources strings.Builder
	if err := filepath.WalkDir(filepath.Join(root, "internal"), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			sources.WriteString(read(t, path))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	seen := 0
	forEachPage(t, root, func(page, text string) {
		for _, match := range logMessage.FindAllStringSubmatch(text, -1) {
			seen++
			if !strings.Contains(sources.String(), `"`+match[1]) {
				t.Errorf("%s: no source logs %q", page, match[1])
			}
		}
	})
	if seen == 0 {
		t.Error("the documentation quotes no log message: change logMessage with it")
	}
}

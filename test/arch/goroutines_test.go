package arch_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// goroutinePackages may start goroutines without internal/goroutine, because they run no task and
// answer no request.
var goroutinePackages = []string{"internal/goroutine", "pkg/client", "internal/upload", "internal/cli", "internal/backend/storetest", "internal/backend/blob/blobtest", "internal/test/"}

// A panic in a goroutine ends the process, including the tasks and requests of other tenants,
// unless internal/goroutine started the goroutine.
func TestGoroutinesAreManaged(t *testing.T) {
	t.Parallel()
	const root = "../../"
	seen := 0
	checkFile := func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		path = filepath.ToSlash(strings.TrimPrefix(path, root))
		if matches(goroutinePackages, filepath.ToSlash(filepath.Dir(path))) {
			return nil
		}
		seen++
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, root+path, nil, 0)
		if err != nil {
			return err
		}
		for _, bare := range findUnmanagedGoroutines(file) {
			t.Errorf("%s:%d: %s: use internal/goroutine, which turns a panic into an error", path, files.Position(bare.at).Line, bare.what)
		}
		return nil
	}
	for _, directory := range []string{"pkg", "internal"} {
		if err := filepath.WalkDir(root+directory, checkFile); err != nil {
			t.Fatal(err)
		}
	}
	if seen < 100 {
		t.Errorf("checked only %d files, want at least 100", seen)
	}
}

func TestUnmanagedGoroutinesAreFound(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]int{
		`func f() { go f() }`:                                    1,
		`func f() { time.AfterFunc(0, f) }`:                      1,
		`func f() { context.AfterFunc(nil, f) }`:                 1,
		`var group sync.WaitGroup`:                               1,
		`var group *errgroup.Group`:                              1,
		`func f() { errgroup.WithContext(nil) }`:                 1,
		`func f() { goroutine.Go(nil, "", f); new(sync.Mutex) }`: 0,
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "", "package p; "+source, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(findUnmanagedGoroutines(file)); got != want {
			t.Errorf("%s: %d found, want %d", source, got, want)
		}
	}
}

type unmanagedGoroutine struct {
	at   token.Pos
	what string
}

// findUnmanagedGoroutines returns the positions where a file starts goroutines without
// internal/goroutine.
func findUnmanagedGoroutines(file *ast.File) (found []unmanagedGoroutine) {
	ast.Inspect(file, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.GoStmt:
			found = append(found, unmanagedGoroutine{n.Pos(), "go statement"})
		case *ast.SelectorExpr:
			if of, ok := n.X.(*ast.Ident); ok {
				switch name := of.Name + "." + n.Sel.Name; {
				case name == "time.AfterFunc", name == "context.AfterFunc", name == "sync.WaitGroup", of.Name == "errgroup":
					found = append(found, unmanagedGoroutine{n.Pos(), strconv.Quote(name)})
				}
			}
		}
		return true
	})
	return found
}

package arch_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// A type with a constructor is not built as a struct literal in other packages: the constructor
// checks what the type needs.
func TestTypesAreMadeByTheirConstructors(t *testing.T) {
	t.Parallel()
	const root = "../../"
	files := token.NewFileSet()
	sources := map[string]*ast.File{} // by path from the root
	constructed := map[string]bool{}  // package directory and type, such as internal/pipeline/search.Service
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(name, ".go") {
			return err
		}
		file, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(strings.TrimPrefix(name, root))
		sources[name] = file
		for _, made := range constructedTypes(file) {
			constructed[path.Dir(name)+"."+made] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(constructed) < 30 {
		t.Errorf("found constructors of %d types only", len(constructed))
	}
	for name, file := range sources {
		for at, literal := range importedLiterals(file) {
			if constructed[literal] {
				t.Errorf("%s:%d: %s is built as a literal: use its constructor", name, files.Position(at).Line, literal)
			}
		}
	}
}

func TestLiteralsOfImportedTypesAreSeen(t *testing.T) {
	t.Parallel()
	const header = `package p; import "` + module + `internal/a"; import other "` + module + `internal/b"; import "net/http"; `
	for source, want := range map[string]string{
		`var x = a.T{}`:                   "internal/a.T",
		`var x = &other.T{}`:              "internal/b.T",
		`var x = http.Client{}`:           "",
		`func f(a struct{}) { _ = T{} }`:  "",
		`func f() { g(a.T{Field: nil}) }`: "internal/a.T",
	} {
		file, err := parser.ParseFile(token.NewFileSet(), "", header+source, 0)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, literal := range importedLiterals(file) {
			got += literal
		}
		if got != want {
			t.Errorf("%s: found %q, want %q", source, got, want)
		}
	}
}

// constructedTypes returns the names of the types whose constructors are in a file: functions whose
// names begin with New and whose first result is a pointer to a type of the package.
func constructedTypes(file *ast.File) (types []string) {
	for _, declaration := range file.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok || function.Recv != nil || !strings.HasPrefix(function.Name.Name, "New") || function.Type.Results == nil {
			continue
		}
		if pointer, ok := function.Type.Results.List[0].Type.(*ast.StarExpr); ok {
			if name, ok := pointer.X.(*ast.Ident); ok {
				types = append(types, name.Name)
			}
		}
	}
	return types
}

// importedLiterals returns the struct literals of types of our other packages, by position, as
// package directory and type.
func importedLiterals(file *ast.File) map[token.Pos]string {
	imports := map[string]string{} // by name in the file
	for _, spec := range file.Imports {
		imported := strings.Trim(spec.Path.Value, `"`)
		name := path.Base(imported)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if directory, ours := strings.CutPrefix(imported, module); ours {
			imports[name] = directory
		}
	}
	literals := map[token.Pos]string{}
	ast.Inspect(file, func(node ast.Node) bool {
		literal, ok := node.(*ast.CompositeLit)
		if !ok {
			return true
		}
		if selector, ok := literal.Type.(*ast.SelectorExpr); ok {
			if name, ok := selector.X.(*ast.Ident); ok && imports[name.Name] != "" {
				literals[literal.Pos()] = imports[name.Name] + "." + selector.Sel.Name
			}
		}
		return true
	})
	return literals
}

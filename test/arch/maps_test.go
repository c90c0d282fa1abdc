package arch_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// boundedMaps lists the map fields from which nothing is removed, each with its bound. Where the
// value names a request, a task or a reindex, the map is discarded at its end.
var boundedMaps = map[string]string{
	"internal/backend/progress.reports":    "the task kinds of one job",
	"internal/embedding.byModel":           "maxModels; when that is reached, the map is replaced",
	"internal/pipeline/reindex.truncated":  "one batch of a reindex",
	"internal/pipeline/reindex.readErrors": "one pass of a reindex: its unreadable documents",
	"internal/pipeline/reindex.tokens":     "one estimate",
	"internal/pipeline/summary.index":      "one request for summaries",
	"internal/pipeline/summary.byHash":     "one request for summaries",
	"internal/server/httpapi.keys":         "one form",
	"internal/telemetry.Checks":            "one response: the dependencies of the process",
}

// A map in a field grows without limit, with the tenants or jobs that the process handles, if its
// package adds entries and never removes any. Every such map must have a bound and be listed in
// boundedMaps.
func TestMapFieldsAreBounded(t *testing.T) {
	t.Parallel()
	growing := map[string]bool{}
	for directory, files := range packagesOf(t, "../../pkg", "../../internal") {
		maps, fields := mapTypes(files), map[string]bool{}
		added, removed := map[string]bool{}, map[string]bool{}
		for _, file := range files {
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.StructType:
					addMapFields(n, maps, fields)
				case *ast.AssignStmt:
					for _, left := range n.Lhs {
						if index, ok := left.(*ast.IndexExpr); ok {
							added[fieldOf(index.X)] = true
						}
					}
				case *ast.CallExpr:
					name, method := calledName(n)
					switch {
					case slices.Contains([]string{"delete", "clear"}, name) && len(n.Args) > 0:
						removed[fieldOf(n.Args[0])] = true
					case slices.Contains([]string{"Store", "LoadOrStore", "Swap"}, name):
						added[fieldOf(method)] = true
					case slices.Contains([]string{"Delete", "LoadAndDelete", "Clear"}, name):
						removed[fieldOf(method)] = true
					}
				}
				return true
			})
		}
		for field := range fields {
			if added[field] && !removed[field] {
				growing[strings.TrimPrefix(directory, "../../")+"."+field] = true
			}
		}
	}
	for field := range growing {
		if boundedMaps[field] == "" {
			t.Errorf("%s: entries are added to this map but never removed: remove them, or list the map in boundedMaps with its bound", field)
		}
	}
	for field := range boundedMaps {
		if !growing[field] {
			t.Errorf("%s is listed in boundedMaps, but is not a map that only grows: remove it from the list", field)
		}
	}
}

// packagesOf parses the sources of all packages below the given directories, without tests and
// without packages that only tests use.
func packagesOf(t *testing.T, roots ...string) map[string][]*ast.File {
	t.Helper()
	packages := map[string][]*ast.File{}
	set := token.NewFileSet()
	for _, root := range roots {
		if err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			directory := filepath.Dir(path)
			ofTests := strings.HasSuffix(directory, "test") || strings.Contains(directory, "/internal/test/")
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || ofTests {
				return err
			}
			file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
			packages[directory] = append(packages[directory], file)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	return packages
}

// mapTypes returns the names of a package's map types.
func mapTypes(files []*ast.File) map[string]bool {
	names := map[string]bool{}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok && isMap(spec.Type, nil) {
				names[spec.Name.Name] = true
			}
			return true
		})
	}
	return names
}

// isMap reports whether a type is a map, a sync.Map, or a type named in maps.
func isMap(x ast.Expr, maps map[string]bool) bool {
	switch x := x.(type) {
	case *ast.MapType:
		return true
	case *ast.SelectorExpr:
		return x.Sel.Name == "Map"
	case *ast.Ident:
		return maps[x.Name]
	default:
		return false
	}
}

// addMapFields adds to fields the names of the struct's map fields.
func addMapFields(s *ast.StructType, maps, fields map[string]bool) {
	for _, field := range s.Fields.List {
		if isMap(field.Type, maps) {
			for _, name := range field.Names {
				fields[name.Name] = true
			}
		}
	}
}

// fieldOf returns the name of the field that an expression selects, or "".
func fieldOf(x ast.Expr) string {
	if selector, ok := x.(*ast.SelectorExpr); ok {
		return selector.Sel.Name
	}
	return ""
}

// calledName returns the name of the called function or method, and the method's receiver.
func calledName(call *ast.CallExpr) (name string, of ast.Expr) {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name, nil
	case *ast.SelectorExpr:
		return f.Sel.Name, f.X
	}
	return "", nil
}

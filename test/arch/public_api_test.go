package arch_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// publicPackages are the packages that other modules import. For each it lists the modules of all
// transitive dependencies outside the standard library and this module.
var publicPackages = map[string][]string{
	"pkg/document": {"github.com/google/uuid", "golang.org/x/text"},
	"pkg/markdown": {
		"github.com/google/uuid", "golang.org/x/text",
		"github.com/yuin/goldmark", "github.com/pelletier/go-toml/v2", "go.yaml.in/yaml/v3",
	},
	"pkg/chunk": {
		"github.com/google/uuid", "golang.org/x/text",
		"github.com/yuin/goldmark", "github.com/pelletier/go-toml/v2", "go.yaml.in/yaml/v3",
		"github.com/rivo/uniseg", "github.com/tiktoken-go/tokenizer", "github.com/dlclark/regexp2/v2",
	},
	"pkg/client": {
		"github.com/google/uuid", "golang.org/x/text",
		"github.com/failsafe-go/failsafe-go", "github.com/bits-and-blooms/bitset",
	},
}

// listedPackage is a package in the output of go list.
type listedPackage struct {
	ImportPath string
	Export     string // file with its export data
	Standard   bool
	Module     *struct{ Path string }
	Deps       []string
}

// listPublicPackages returns the public packages and all their dependencies, by import path.
func listPublicPackages(t *testing.T) map[string]listedPackage {
	t.Helper()
	args := []string{"list", "-deps", "-export", "-json=ImportPath,Export,Standard,Module,Deps"}
	for path := range publicPackages {
		args = append(args, module+path)
	}
	command := exec.CommandContext(t.Context(), "go", args...)
	command.Dir = "../.."
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	listed := map[string]listedPackage{}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listedPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return listed
		} else if err != nil {
			t.Fatal(err)
		}
		listed[p.ImportPath] = p
	}
}

// Other modules get every dependency of the packages that they import, with its size, licence and
// vulnerabilities. A program that uploads or splits documents must not get the SDK of a database, a
// queue or a provider.
func TestPublicPackagesHaveFewDependencies(t *testing.T) {
	t.Parallel()
	listed := listPublicPackages(t)
	for path, allowed := range publicPackages {
		used := map[string]bool{}
		for _, dependency := range listed[module+path].Deps {
			p := listed[dependency]
			if p.Standard || p.Module == nil || p.Module.Path == strings.TrimSuffix(module, "/") {
				continue
			}
			if used[p.Module.Path] {
				continue
			}
			used[p.Module.Path] = true
			if !slices.Contains(allowed, p.Module.Path) {
				t.Errorf("%s has a new dependency, %s (package %s). Every module that imports %[1]s gets it too, with its size, licence and "+
					"vulnerabilities. If importers need it, add it to publicPackages; otherwise move the code that needs it to internal/",
					path, p.Module.Path, dependency)
			}
		}
		for _, name := range allowed {
			if !used[name] {
				t.Errorf("%s does not depend on %s: remove it from publicPackages", path, name)
			}
		}
	}
}

// Importers cannot name a type of internal/, so the exported API of a public package must not use
// one.
func TestPublicPackagesUseNoInternalTypes(t *testing.T) {
	t.Parallel()
	listed := listPublicPackages(t)
	from := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(listed[path].Export)
	})
	for path := range publicPackages {
		p, err := from.Import(module + path)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(p.Scope().Names()); n < 5 {
			t.Errorf("%s has only %d package-level names: is its export data read?", path, n)
		}
		for _, found := range findInternalTypes(p) {
			t.Errorf("%s.%s. Importers cannot name that type: move it to a public package, or do not export this", path, found)
		}
	}
}

// findInternalTypes returns the places at which the exported API of a package uses a type of
// internal/, one for each type.
func findInternalTypes(p *types.Package) []string {
	f := &internalTypeFinder{api: p, seen: map[types.Type]bool{}}
	for _, name := range p.Scope().Names() {
		if token.IsExported(name) {
			f.object(name, p.Scope().Lookup(name))
		}
	}
	return f.found
}

// internalTypeFinder walks the exported API of the package api. Recursive types are walked once.
type internalTypeFinder struct {
	api   *types.Package
	seen  map[types.Type]bool
	found []string
}

func (f *internalTypeFinder) object(where string, object types.Object) {
	if name, ok := object.(*types.TypeName); ok && name.IsAlias() {
		f.walk(where, types.Unalias(name.Type()))
		return
	}
	f.walk(where, object.Type())
}

// walk walks the parts of a type that importers can see.
func (f *internalTypeFinder) walk(where string, t types.Type) {
	if f.seen[t] {
		return
	}
	f.seen[t] = true
	switch t := t.(type) {
	case *types.Alias:
		f.name(where, t.Obj())
		f.walk(where, types.Unalias(t))
	case *types.Named:
		f.named(where, t)
	case *types.TypeParam:
		f.walk(where+", constraint of "+t.Obj().Name(), t.Constraint())
	case *types.Pointer:
		f.walk(where, t.Elem())
	case *types.Slice:
		f.walk(where, t.Elem())
	case *types.Array:
		f.walk(where, t.Elem())
	case *types.Chan:
		f.walk(where, t.Elem())
	case *types.Map:
		f.walk(where, t.Key())
		f.walk(where, t.Elem())
	case *types.Tuple:
		for v := range t.Variables() {
			f.walk(where, v.Type())
		}
	case *types.Signature:
		for p := range t.TypeParams().TypeParams() {
			f.walk(where, p)
		}
		f.walk(where, t.Params())
		f.walk(where, t.Results())
	case *types.Struct:
		for field := range t.Fields() {
			if field.Exported() || field.Embedded() { // an embedded type promotes its fields and methods
				f.walk(where+"."+field.Name(), field.Type())
			}
		}
	case *types.Interface:
		for method := range t.ExplicitMethods() {
			f.walk(where+"."+method.Name(), method.Type())
		}
		for embedded := range t.EmbeddedTypes() {
			f.walk(where, embedded)
		}
	case *types.Union:
		for term := range t.Terms() {
			f.walk(where, term.Type())
		}
	}
}

// named checks the name of a defined type. It walks the type only if it belongs to the package api:
// the other public packages are walked separately, and packages of other modules cannot use this
// module.
func (f *internalTypeFinder) named(where string, t *types.Named) {
	f.name(where, t.Obj())
	for argument := range t.TypeArgs().Types() {
		f.walk(where, argument)
	}
	if t.Obj().Pkg() != f.api {
		return
	}
	for p := range t.TypeParams().TypeParams() {
		f.walk(where, p)
	}
	f.walk(where, t.Underlying())
	for method := range t.Methods() {
		if method.Exported() {
			f.walk(where+"."+method.Name(), method.Type())
		}
	}
}

func (f *internalTypeFinder) name(where string, name *types.TypeName) {
	if name.Pkg() != nil && strings.HasPrefix(name.Pkg().Path(), module+"internal/") {
		f.found = append(f.found, fmt.Sprintf("%s uses %s.%s", where, name.Pkg().Path(), name.Name()))
	}
}

func TestInternalTypesAreFound(t *testing.T) {
	t.Parallel()
	secret := types.NewPackage(module+"internal/secret", "secret")
	secret.Scope().Insert(types.NewTypeName(token.NoPos, secret, "T", nil))
	types.NewNamed(secret.Scope().Lookup("T").(*types.TypeName), types.Typ[types.Int], nil)
	secret.MarkComplete()
	for source, want := range map[string]int{
		`func F(secret.T) {}`:                                      1,
		`func F() (int, []secret.T) { return 0, nil }`:             1,
		`type S struct { A map[string]*secret.T }`:                 1,
		`type S struct { secret.T }`:                               1,
		`type s struct { A secret.T }; type S struct{ s }`:         1,
		`type s struct { A secret.T }; func F() *s { return nil }`: 1,
		`type S int; func (S) M(chan secret.T) {}`:                 1,
		`type S interface { M(...secret.T) }`:                      1,
		`type S = secret.T`:                                        1,
		`type S[E interface{ string | secret.T }] struct{}`:        1,
		`func F[E interface{ M() secret.T }](E) {}`:                1,
		`type g[E any] struct{}; var V g[secret.T]`:                1,
		`var V func(secret.T)`:                                     1,
		`var V, W secret.T`:                                        1, // reported once for each type

		`type S struct { a secret.T }`:             0,
		`type S int; func (S) m(secret.T) {}`:      0,
		`var v secret.T; func f(secret.T) {}`:      0,
		`type s struct { A secret.T }; var v s`:    0,
		`type S struct { A []S; F func(S) error }`: 0,
		`func F() { var t secret.T; _ = t }`:       0,
	} {
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, "", `package api; import "secret"; var _ secret.T; `+source, 0)
		if err != nil {
			t.Fatal(err)
		}
		config := types.Config{Importer: importerFunc(func(string) (*types.Package, error) { return secret, nil })}
		p, err := config.Check(module+"pkg/api", files, []*ast.File{file}, nil)
		if err != nil {
			t.Fatalf("%s: %v", source, err)
		}
		if got := findInternalTypes(p); len(got) != want {
			t.Errorf("%s: found %q, want %d", source, got, want)
		}
	}
}

// importerFunc is a function that imports packages.
type importerFunc func(path string) (*types.Package, error)

func (f importerFunc) Import(path string) (*types.Package, error) { return f(path) }

// The package comment of pkg/document lists its types by topic, so that a type can be found without
// reading the package.
func TestDocumentCommentListsItsTypes(t *testing.T) {
	t.Parallel()
	comment := read(t, "../../pkg/document/doc.go")
	exported := 0
	for _, file := range packagesOf(t, "../../pkg/document")["../../pkg/document"] {
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok && spec.Name.IsExported() {
				exported++
				if !strings.Contains(comment, "["+spec.Name.Name+"]") {
					t.Errorf("type %s is not in the package comment: add it to its topic in pkg/document/doc.go", spec.Name.Name)
				}
			}
			return true
		})
	}
	if exported < 30 {
		t.Errorf("found only %d exported types", exported)
	}
}

// Importers read the package comment first. It must say that the package is public API, and the
// package must have examples that run.
func TestPublicPackagesAreDocumented(t *testing.T) {
	t.Parallel()
	for path := range publicPackages {
		directory := filepath.Join("../..", path)
		if !strings.Contains(read(t, filepath.Join(directory, "doc.go")), "part of the public API of this module") {
			t.Errorf("%s/doc.go does not say that the package is part of the public API of this module", path)
		}
		examples := read(t, filepath.Join(directory, "example_test.go"))
		if !strings.Contains(examples, "func Example") || !strings.Contains(examples, "// Output:") {
			t.Errorf("%s/example_test.go has no example that runs", path)
		}
	}
}

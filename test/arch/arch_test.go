// Package arch holds the import rules of docs and CONTRIBUTING as a test.
package arch_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/seed-7a112592/gristmill/"

// allowed says which of our packages a package may import outside of its
// tests. The longest matching prefix of the importer decides; an entry that
// ends in a slash allows all below it.
var allowed = map[string][]string{
	// Words import nothing of ours.
	"pkg/document": {},
	"pkg/tenant":   {},
	"pkg/fault":    {},

	// Goroutines are everybody's.
	"pkg/goroutine": {"pkg/fault"},

	// Text goes down: bytes, blocks, passages.
	"pkg/markdown": words,
	"pkg/chunk":    append([]string{"pkg/markdown"}, words...),

	"pkg/original":                words,
	"pkg/telemetry":               words,
	"pkg/writeback":               words,
	"pkg/embedding":               append([]string{"pkg/telemetry", "pkg/writeback"}, words...),
	"pkg/embedding/embeddingtest": {},
	"migrations":                  {},

	// Steps meet through the database and the queue, never each other.
	"pkg/pipeline/": append([]string{"pkg/markdown", "pkg/chunk", "pkg/embedding", "pkg/original", "pkg/writeback", "pkg/telemetry"}, words...),

	// Backends know words and their own SDK, and the migrations they run.
	"pkg/backend/":              append([]string{"pkg/telemetry"}, words...),
	"pkg/backend/llm":           append([]string{"pkg/telemetry", "pkg/writeback"}, words...),
	"pkg/backend/postgres":      append([]string{"pkg/telemetry", "migrations"}, words...),
	"pkg/backend/sqlite":        append([]string{"pkg/telemetry", "migrations"}, words...),
	"pkg/backend/storetest":     words,
	"pkg/backend/blob/blobtest": append([]string{"pkg/backend/blob"}, words...),

	// Faces state what they need as interfaces.
	"pkg/server/":       append([]string{"pkg/original", "pkg/telemetry"}, words...),
	"pkg/client":        words,
	"pkg/client/upload": append([]string{"pkg/client"}, words...),
	"pkg/cli":           append([]string{"pkg/client", "pkg/client/upload"}, words...),

	// Only app joins; dev mode joins the embedded backends into it.
	"pkg/app":     append([]string{"pkg/backend/", "pkg/pipeline/", "pkg/server/", "pkg/embedding", "pkg/original", "pkg/writeback", "pkg/telemetry"}, words...),
	"pkg/devmode": append([]string{"pkg/app", "pkg/pipeline/verify", "pkg/cli", "pkg/client/", "pkg/backend/sqlite", "pkg/backend/blob", "pkg/client", "pkg/telemetry"}, words...),

	"cmd/":          {"pkg/app"},
	"cmd/gristmill": {"pkg/devmode"},
	"test/":         {"pkg/", "migrations", "test/"},
}

var words = []string{"pkg/document", "pkg/tenant", "pkg/fault", "pkg/goroutine"}

// owners says which package alone imports an SDK. Tests may use it too.
var owners = map[string][]string{
	"github.com/jackc/pgx/":                {"pkg/backend/postgres", "test/"},
	"github.com/pgvector/pgvector-go":      {"pkg/backend/postgres", "test/"},
	"github.com/minio/minio-go/":           {"pkg/backend/blob", "test/"},
	"github.com/hibiken/asynq":             {"pkg/backend/queue"},
	"github.com/redis/go-redis/":           {"pkg/backend/live", "test/"},
	"github.com/sashabaranov/go-openai":    {"pkg/backend/llm"},
	"modernc.org/sqlite":                   {"pkg/backend/sqlite"},
	"github.com/alicebob/miniredis/":       {"pkg/devmode"},
	"github.com/danielgtaylor/huma/":       {"pkg/server/httpapi"},
	"github.com/spf13/cobra":               {"pkg/cli"},
	"github.com/caarlos0/env/":             {"pkg/app"},
	"github.com/prometheus/client_golang/": {"pkg/telemetry"},
	"github.com/tiktoken-go/tokenizer":     {"pkg/chunk"},
	"github.com/yuin/goldmark":             {"pkg/markdown"},
	"github.com/Shopify/toxiproxy/":        {"test/"},
	"github.com/rs/zerolog":                {"test/"},
	"github.com/google/go-cmp/":            {"pkg/backend/storetest", "pkg/backend/blob/blobtest", "test/"},
	"github.com/failsafe-go/failsafe-go":   {"pkg/backend/", "pkg/client"},
	"golang.org/x/sync/errgroup":           {"pkg/goroutine", "pkg/client/", "test/"},
}

type goPackage struct {
	ImportPath   string
	Imports      []string
	Deps         []string
	TestImports  []string
	XTestImports []string
}

func TestImportRules(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, module)
		rule, ok := ruleFor(path)
		if !ok {
			t.Errorf("%s has no rule here: say what it may import", path)
			continue
		}
		for _, imported := range p.Imports {
			if ours, is := strings.CutPrefix(imported, module); is && !matches(rule, ours) && !within(path, ours) {
				t.Errorf("%s imports %s, which the import rules forbid", path, ours)
			}
			for sdk, owner := range owners {
				if strings.HasPrefix(imported+"/", sdk) && !matches(owner, path) {
					t.Errorf("%s imports %s, which belongs to %v", path, imported, owner)
				}
			}
		}
	}
}

// Servers carry no embedded database: what is in the binary can be attacked,
// and has to be patched.
func TestServersDoNotLinkDevMode(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, module)
		if !strings.HasPrefix(path, "cmd/") || path == "cmd/gristmill" {
			continue
		}
		for _, dep := range p.Deps {
			if dep == module+"pkg/devmode" || dep == "modernc.org/sqlite" || strings.HasPrefix(dep, "github.com/alicebob/miniredis") || dep == "testing" {
				t.Errorf("%s links %s", path, dep)
			}
		}
	}
}

func TestRulesAreAboutSomething(t *testing.T) {
	t.Parallel()
	all := packages(t)
	for rule := range allowed {
		if !slices.ContainsFunc(all, func(p goPackage) bool { return matches([]string{rule}, strings.TrimPrefix(p.ImportPath, module)) }) {
			t.Errorf("the rule for %s is about no package", rule)
		}
	}
}

// ruleFor returns what the package may import by the longest matching entry.
func ruleFor(path string) ([]string, bool) {
	best, found := "", false
	for entry := range allowed {
		if matches([]string{entry}, path) && len(entry) >= len(best) {
			best, found = entry, true
		}
	}
	return allowed[best], found
}

// matches reports whether path is one of the entries, or below one that ends
// in a slash.
func matches(entries []string, path string) bool {
	return slices.ContainsFunc(entries, func(entry string) bool {
		return path == entry || strings.HasSuffix(entry, "/") && strings.HasPrefix(path, entry)
	})
}

// within reports whether imported lies below path: a package and its own parts.
func within(path, imported string) bool { return strings.HasPrefix(imported, path+"/") }

func packages(t *testing.T) []goPackage {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,Deps,TestImports,XTestImports", module+"...")
	command.Dir = "../.."
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

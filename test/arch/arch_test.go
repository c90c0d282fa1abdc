// Package arch_test checks the import rules of CONTRIBUTING.md, and other rules about the code that
// a test can check.
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

// importRules maps a package to the packages of this module that it may import outside its tests.
// The longest entry that matches the importer applies. An entry that ends in a slash matches all
// packages below it.
var importRules = map[string][]string{
	// Base packages hold the types that cross package boundaries. They import only each other, and
	// never in a cycle.
	"pkg/document":          {},
	"internal/tenant":       {},
	"internal/fault":        {},
	"internal/garbage":      {},
	"internal/vector":       {"pkg/document"},
	"internal/provider":     {"pkg/document"},
	"internal/original":     {"pkg/document", "internal/fault", "internal/required", "internal/vector"},
	"internal/task":         {"pkg/document", "internal/vector", "internal/original"},
	"internal/rebuild":      {"pkg/document", "internal/vector", "internal/original"},
	"internal/verification": {"pkg/document", "internal/vector", "internal/original"},

	// Decisions are pure functions that both stores ask.
	"internal/lifecycle": {"pkg/document", "internal/fault", "internal/garbage", "internal/rebuild", "internal/task", "internal/vector"},

	// Every package may start goroutines and check that a configuration is complete.
	"internal/goroutine": {"internal/fault"},
	"internal/required":  {},

	// Text processing: bytes to blocks to passages. Importers get no more than this.
	"pkg/markdown": {"pkg/document"},
	"pkg/chunk":    {"pkg/document", "pkg/markdown"},
	"pkg/client":   {"pkg/document"},

	"internal/telemetry":               basePackages,
	"internal/writeback":               basePackages,
	"internal/embedding":               append([]string{"internal/telemetry", "internal/writeback"}, basePackages...),
	"internal/embedding/embeddingtest": {"internal/embedding", "internal/writeback"},
	"migrations":                       {},

	// Steps communicate through the database and the queue. They never import each other.
	"internal/pipeline/": append([]string{"pkg/markdown", "pkg/chunk", "internal/embedding", "internal/writeback", "internal/telemetry"}, basePackages...),

	// Backends import the base packages, their own SDK, and the migrations that they run.
	"internal/backend/":              append([]string{"internal/telemetry"}, basePackages...),
	"internal/backend/progress":      append([]string{"internal/backend/redisguard", "internal/telemetry"}, basePackages...),
	"internal/backend/queue":         append([]string{"internal/backend/redisguard", "internal/telemetry"}, basePackages...),
	"internal/backend/llm":           append([]string{"internal/telemetry", "internal/writeback"}, basePackages...),
	"internal/backend/postgres":      append([]string{"internal/lifecycle", "internal/telemetry", "migrations"}, basePackages...),
	"internal/backend/sqlite":        append([]string{"internal/lifecycle", "internal/telemetry", "migrations"}, basePackages...),
	"internal/backend/storetest":     append([]string{"internal/lifecycle"}, basePackages...),
	"internal/backend/blob/blobtest": append([]string{"internal/backend/blob"}, basePackages...),

	// Faces state what they need as interfaces.
	"internal/server/": append([]string{"internal/telemetry"}, basePackages...),
	"internal/upload":  append([]string{"pkg/client"}, basePackages...),
	"internal/cli":     append([]string{"pkg/client", "internal/upload"}, basePackages...),

	// Only app connects the parts; dev mode adds the embedded backends.
	"internal/app":     append([]string{"internal/backend/", "internal/pipeline/", "internal/server/", "internal/embedding", "internal/writeback", "internal/telemetry"}, basePackages...),
	"internal/devmode": append([]string{"internal/app", "internal/pipeline/verify", "internal/cli", "internal/upload", "internal/backend/sqlite", "internal/backend/blob", "pkg/client", "internal/telemetry"}, basePackages...),

	"cmd/":           {"internal/app"},
	"cmd/gristmill":  {"internal/devmode"},
	"test/":          {"pkg/", "internal/", "migrations"},
	"internal/test/": {"pkg/", "internal/", "migrations"},
}

var basePackages = []string{
	"pkg/document", "internal/tenant", "internal/fault", "internal/goroutine", "internal/required",
	"internal/task", "internal/vector",
	"internal/garbage", "internal/original", "internal/provider", "internal/rebuild", "internal/verification",
}

// sdkOwners maps an SDK to the packages that alone may import it outside their tests.
var sdkOwners = map[string][]string{
	"github.com/jackc/pgx/":                {"internal/backend/postgres", "internal/test/", "test/"},
	"github.com/pgvector/pgvector-go":      {"internal/backend/postgres", "internal/test/", "test/"},
	"github.com/minio/minio-go/":           {"internal/backend/blob", "internal/test/", "test/"},
	"github.com/hibiken/asynq":             {"internal/backend/queue"},
	"github.com/redis/go-redis/":           {"internal/backend/progress", "internal/test/", "test/"},
	"github.com/sashabaranov/go-openai":    {"internal/backend/llm"},
	"modernc.org/sqlite":                   {"internal/backend/sqlite"},
	"github.com/alicebob/miniredis/":       {"internal/devmode"},
	"github.com/danielgtaylor/huma/":       {"internal/server/httpapi"},
	"github.com/spf13/cobra":               {"internal/cli"},
	"github.com/caarlos0/env/":             {"internal/app"},
	"github.com/prometheus/client_golang/": {"internal/telemetry"},
	"github.com/tiktoken-go/tokenizer":     {"pkg/chunk"},
	"github.com/yuin/goldmark":             {"pkg/markdown"},
	"github.com/Shopify/toxiproxy/":        {"internal/test/", "test/"},
	"github.com/rs/zerolog":                {"internal/test/", "test/"},
	"github.com/google/go-cmp/":            {"internal/backend/storetest", "internal/backend/blob/blobtest", "internal/test/", "test/"},
	"github.com/failsafe-go/failsafe-go":   {"internal/backend/blob", "internal/backend/llm", "internal/backend/redisguard", "pkg/client"},
	"golang.org/x/sync/errgroup":           {"internal/goroutine", "internal/upload", "internal/test/", "test/"},
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
			t.Errorf("%s has no import rule: add one to importRules", path)
			continue
		}
		for _, imported := range p.Imports {
			if ours, is := strings.CutPrefix(imported, module); is && !matches(rule, ours) && !isBelow(path, ours) {
				t.Errorf("%s imports %s, which the import rules forbid", path, ours)
			}
			for sdk, owner := range sdkOwners {
				if strings.HasPrefix(imported+"/", sdk) && !matches(owner, path) {
					t.Errorf("%s imports %s, which belongs to %v", path, imported, owner)
				}
			}
		}
	}
}

// Server programs link no embedded database: everything in a binary can be attacked and must be
// patched.
func TestServersDoNotLinkDevMode(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, module)
		if !strings.HasPrefix(path, "cmd/") || path == "cmd/gristmill" {
			continue
		}
		for _, dep := range p.Deps {
			if dep == module+"internal/devmode" || dep == "modernc.org/sqlite" || strings.HasPrefix(dep, "github.com/alicebob/miniredis") || dep == "testing" {
				t.Errorf("%s links %s", path, dep)
			}
		}
	}
}

func TestImportRulesMatchPackages(t *testing.T) {
	t.Parallel()
	all := packages(t)
	for rule := range importRules {
		if !slices.ContainsFunc(all, func(p goPackage) bool { return matches([]string{rule}, strings.TrimPrefix(p.ImportPath, module)) }) {
			t.Errorf("the rule for %s matches no package: remove it", rule)
		}
	}
}

// ruleFor returns the value of the longest matching entry of importRules, and whether there is one.
func ruleFor(path string) ([]string, bool) {
	best, found := "", false
	for entry := range importRules {
		if matches([]string{entry}, path) && len(entry) >= len(best) {
			best, found = entry, true
		}
	}
	return importRules[best], found
}

// matches reports whether path equals an entry, or is below an entry that ends in a slash.
func matches(entries []string, path string) bool {
	return slices.ContainsFunc(entries, func(entry string) bool {
		return path == entry || strings.HasSuffix(entry, "/") && strings.HasPrefix(path, entry)
	})
}

// isBelow reports whether imported is in a subdirectory of path: a package may import its own
// parts.
func isBelow(path, imported string) bool { return strings.HasPrefix(imported, path+"/") }

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

package app_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/app"
)

func TestLoadReportsEverythingTogether(t *testing.T) {
	t.Parallel()
	_, err := app.Load([]string{
		"GRISTMILL_CHUNK_TOKNES=400",
		"GRISTMILL_CHUNK_OVERLAP=many",
		"GRISTMILL_EMBEDDING_BATCH=0",
		"GRISTMILL_SEARCH_TIMEOUT=-1s",
		"GRISTMILL_WEBHOOK_ALLOW=10.0.0.0/8, localhost",
		"GRISTMILL_ADDR=0.0.0.0:8080",
		"GRISTMILL_LOG_LEVEL=loud",
		"GRISTMILL_KEY=fine",
		"GRISTMILL_TEST_REDIS_URL=fine",
		"UNRELATED=fine",
	}, app.RequireServers, app.RequireKeyOrLoopback)
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{"GRISTMILL_CHUNK_TOKNES", "GRISTMILL_CHUNK_OVERLAP is not a valid int", "GRISTMILL_EMBEDDING_BATCH", "GRISTMILL_SEARCH_TIMEOUT", `GRISTMILL_WEBHOOK_ALLOW: "localhost" is not a network`, "loud", "GRISTMILL_API_KEY", "GRISTMILL_DATABASE_URL", "GRISTMILL_REDIS_URL"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not mention %s:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "fine") || strings.Contains(err.Error(), "GRISTMILL_TEST") {
		t.Errorf("error mentions valid settings:\n%v", err)
	}
}

func TestLoadDefaults(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		environ    []string
		model      string
		dimensions int
	}{
		{nil, "local", 512},
		{[]string{"GRISTMILL_OPENAI_API_KEY=k"}, "text-embedding-3-small", 0},
		{[]string{"GRISTMILL_OPENAI_BASE_URL=http://127.0.0.1:1/v1", "GRISTMILL_EMBEDDING_MODEL=nomic", "GRISTMILL_EMBEDDING_DIMENSIONS=768"}, "nomic", 768},
	} {
		config, err := app.Load(test.environ)
		if err != nil {
			t.Errorf("Load(%q): %v", test.environ, err)
		}
		if config.EmbeddingModel != test.model || config.EmbeddingDimensions != test.dimensions {
			t.Errorf("Load(%q) embeds with %s/%d, want %s/%d", test.environ, config.EmbeddingModel, config.EmbeddingDimensions, test.model, test.dimensions)
		}
	}
}

func TestWorkersNeedNoKey(t *testing.T) {
	t.Parallel()
	if _, err := app.Load([]string{"GRISTMILL_ADDR=0.0.0.0:8080"}); err != nil {
		t.Error(err)
	}
}

func TestKeyIsRequiredBeyondLoopback(t *testing.T) {
	t.Parallel()
	for addr, free := range map[string]bool{
		"127.0.0.1:0": true, "localhost:80": true, "[::1]:80": true,
		":8080": false, "0.0.0.0:80": false, "10.0.0.1:80": false, "example:80": false,
	} {
		_, err := app.Load([]string{"GRISTMILL_ADDR=" + addr}, app.RequireKeyOrLoopback)
		if (err == nil) != free {
			t.Errorf("without a key on %s: %v", addr, err)
		}
		if _, err := app.Load([]string{"GRISTMILL_ADDR=" + addr, "GRISTMILL_API_KEY=k"}, app.RequireKeyOrLoopback); err != nil {
			t.Errorf("with a key on %s: %v", addr, err)
		}
	}
}

// The table of docs/configuration.md has one row for each field of the struct.
func TestConfigurationIsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "| `GRISTMILL_") {
			have = append(have, strings.TrimSpace(line))
		}
	}
	var want []string
	for _, field := range app.Fields() {
		value := ""
		if field.Default != "" {
			value = "`" + field.Default + "`"
		}
		want = append(want, "| `"+field.Name+"` | "+value+" | "+field.Doc+" |")
	}
	if got, want := strings.Join(have, "\n"), strings.Join(want, "\n"); got != want {
		t.Errorf("docs/configuration.md has\n%s\n\nthe struct says\n%s", got, want)
	}
}

// Programs know every setting that the compose file, its example environment and the documentation
// name.
func TestNamesInUseAreKnown(t *testing.T) {
	t.Parallel()
	known := []string{"GRISTMILL_SERVER", "GRISTMILL_KEY"}
	for _, field := range app.Fields() {
		known = append(known, field.Name)
	}
	name := regexp.MustCompile(`GRISTMILL_[A-Z0-9_]+[A-Z0-9]`)
	for _, path := range []string{"compose.yaml", ".env.example", "README.md", "CONTRIBUTING.md", "docs/configuration.md", "docs/operations.md", "docs/architecture.md", "docs/documents.md", "docs/storage.md", "docs/performance.md", "docs/providers.md", "docs/reindexing.md", "docs/reliability.md", "docs/webhooks.md"} {
		text, err := os.ReadFile("../../" + path)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range name.FindAllString(string(text), -1) {
			if !slices.Contains(known, found) && !strings.HasPrefix(found, "GRISTMILL_TEST_") {
				t.Errorf("%s names %s, which no program knows", path, found)
			}
		}
	}
}

// Every setting can be changed in .env: compose.yaml sets it or passes it on.
func TestComposePassesSettingsOn(t *testing.T) {
	t.Parallel()
	compose, err := os.ReadFile("../../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range app.Fields() {
		if !strings.Contains(string(compose), "\n  "+field.Name+":") && !strings.Contains(string(compose), "\n      "+field.Name+":") {
			t.Errorf("compose.yaml does not pass %s on", field.Name)
		}
	}
}

// The example has every value that compose.yaml requires. Its secrets are empty, which compose
// refuses, so that nobody runs with a public secret.
func TestExampleHasNoSecrets(t *testing.T) {
	t.Parallel()
	example, err := os.ReadFile("../../.env.example")
	if err != nil {
		t.Fatal(err)
	}
	compose, err := os.ReadFile("../../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, line := range regexp.MustCompile(`(?m)^([A-Z0-9_]+)=(.*)$`).FindAllStringSubmatch(string(example), -1) {
		values[line[1]] = line[2]
	}
	needed := regexp.MustCompile(`\$\{([A-Z0-9_]+):\?`).FindAllStringSubmatch(string(compose), -1)
	if len(needed) < 8 {
		t.Fatalf("compose.yaml requires only %v", needed)
	}
	for _, name := range needed {
		value, there := values[name[1]]
		if !there || value != "" && name[1] != "MINIO_ROOT_USER" {
			t.Errorf(".env.example has %s: %v, with the value %q; want it there with an empty value", name[1], there, value)
		}
	}
	for name := range values {
		if !strings.Contains(string(compose), "${"+name) {
			t.Errorf("compose.yaml does not use %s", name)
		}
	}
}

// The secrets of an old example are refused in every setting, and the error does not show them.
func TestSecretsOfTheExampleAreRefused(t *testing.T) {
	t.Parallel()
	for _, entry := range []string{
		"GRISTMILL_DATABASE_URL=postgres://gristmill:change-me-application@postgres:5432/gristmill",
		"GRISTMILL_INDEX_DATABASE_URL=postgres://i:change-me-application@postgres:5432/gristmill",
		"GRISTMILL_MIGRATE_DATABASE_URL=postgres://postgres:change-me-postgres@postgres:5432/gristmill",
		"GRISTMILL_REDIS_URL=redis://:change-me-redis@redis:6379/0",
		"GRISTMILL_S3_SECRET_KEY=change-me-minio",
		"GRISTMILL_API_KEY=change-me-api-key",
	} {
		name, value, _ := strings.Cut(entry, "=")
		_, err := app.Load([]string{entry})
		if err == nil || !strings.Contains(err.Error(), name+" has a secret from .env.example") || strings.Contains(err.Error(), value) {
			t.Errorf("%s: got %v", entry, err)
		}
	}
}

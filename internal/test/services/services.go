// Package services gives tests real servers: a PostgreSQL database with pgvector, a Redis database
// and an S3 bucket. Each is new and empty, belongs to one test, and is removed when the test ends,
// so tests can run in parallel.
//
// The addresses come from the environment, or else from the file .services/env that
// `scripts/services up` writes in the repository. A test whose server has no address is skipped;
// with CI set it fails.
package services

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The environment variables with the addresses.
const (
	envPostgresURL = "GRISTMILL_TEST_POSTGRES_URL"
	envPgBouncer   = "GRISTMILL_TEST_PGBOUNCER"
	envRedisURL    = "GRISTMILL_TEST_REDIS_URL"
	envS3Endpoint  = "GRISTMILL_TEST_S3_ENDPOINT"
	envS3AccessKey = "GRISTMILL_TEST_S3_ACCESS_KEY"
	envS3SecretKey = "GRISTMILL_TEST_S3_SECRET_KEY"
)

// Servers is a set of servers. The zero value uses the addresses in the environment or in
// .services/env.
type Servers struct{ env map[string]string }

// ReadAddresses returns the set of servers whose addresses `scripts/services up` has written to
// file, which is the file env in its GRISTMILL_SERVICES_DIR.
func ReadAddresses(file string) (Servers, error) {
	env, err := parseEnvFile(file)
	return Servers{env}, err
}

// setting returns the value of an environment variable. Skips or fails the test if there is none.
func (s Servers) setting(t testing.TB, name string) string {
	t.Helper()
	if s.env != nil {
		return s.env[name]
	}
	directory, err := os.Getwd()
	if err != nil {
		t.Fatalf("get the working directory: %v", err)
	}
	value, err := lookup(name, directory)
	if err != nil {
		t.Fatalf("read .services/env: %v", err)
	}
	if value != "" {
		return value
	}
	SkipOrFail(t, "needs a real server, but %s is not set: run scripts/services up", name)
	return ""
}

// SkipOrFail ends a test whose requirement the machine does not meet. It skips the test, or fails
// it with CI set.
func SkipOrFail(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf(format+" (with CI set this is a failure)", args...)
	}
	t.Skipf(format, args...)
}

// lookup returns the value of name from the environment, else from .services/env of the module that
// contains directory, else "".
func lookup(name, directory string) (string, error) {
	if value := os.Getenv(name); value != "" {
		return value, nil
	}
	for {
		if _, err := os.Stat(filepath.Join(directory, "go.mod")); err == nil {
			break
		}
		parent := filepath.Dir(directory)
		if parent == directory {
			return "", nil
		}
		directory = parent
	}
	values, err := parseEnvFile(filepath.Join(directory, ".services", "env"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return values[name], err
}

// parseEnvFile returns the variables in a file that scripts/services wrote.
func parseEnvFile(file string) (map[string]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "export ")
		if name, value, found := strings.Cut(line, "="); found {
			values[name] = unquote(value)
		}
	}
	return values, nil
}

// unquote removes the single quotes that scripts/services puts around a value.
func unquote(value string) string {
	if len(value) < 2 || value[0] != '\'' || value[len(value)-1] != '\'' {
		return value
	}
	return strings.ReplaceAll(value[1:len(value)-1], `'\''`, `'`)
}

// cleanupContext returns a context for cleanup functions, because the test's own context has ended
// by then.
func cleanupContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 30*time.Second)
}

// uniqueName returns a name for a database or bucket: lower-case letters, digits and separators. It
// begins with the name of the test, so that a person can see which test it belongs to, and ends
// with random digits, so that it is unique among all test runs.
func uniqueName(t testing.TB, separator byte) string {
	var random [6]byte
	if _, err := rand.Read(random[:]); err != nil {
		t.Fatalf("generate a random name: %v", err)
	}
	name := []byte("gm")
	for _, c := range []byte(strings.ToLower(t.Name())) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			c = separator
		}
		if c != separator || name[len(name)-1] != separator {
			name = append(name, c)
		}
		if len(name) == 40 { // PostgreSQL and S3 allow 63
			break
		}
	}
	return strings.TrimRight(string(name), string(separator)) + string(separator) + hex.EncodeToString(random[:])
}

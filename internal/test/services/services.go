// Package services gives tests real servers: a PostgreSQL database with pgvector within reach, a Redis database and an S3 bucket,
// each new, empty, made for one test and removed when it ends, so that tests run in parallel.
//
// The addresses come from the environment or, where it does not have them, from the file .services/env that `scripts/services up`
// leaves in the repository. A test whose server is in neither is skipped; with CI set it fails.
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

// The environment that names the servers.
const (
	envPostgresURL = "GRISTMILL_TEST_POSTGRES_URL"
	envPgBouncer   = "GRISTMILL_TEST_PGBOUNCER"
	envRedisURL    = "GRISTMILL_TEST_REDIS_URL"
	envS3Endpoint  = "GRISTMILL_TEST_S3_ENDPOINT"
	envS3AccessKey = "GRISTMILL_TEST_S3_ACCESS_KEY"
	envS3SecretKey = "GRISTMILL_TEST_S3_SECRET_KEY"
)

// Servers is a set of servers. The zero Set is the one whose addresses come from the environment or from .services/env.
type Servers struct{ env map[string]string }

// ReadAddresses returns the set whose addresses `scripts/services up` has left in a file, which is called env and lies in its
// GRISTMILL_SERVICES_DIR.
func ReadAddresses(file string) (Servers, error) {
	env, err := parseEnvFile(file)
	return Servers{env}, err
}

// setting returns the value of an environment name, and skips or fails the test when nothing gives one.
func (s Servers) setting(t testing.TB, name string) string {
	t.Helper()
	if s.env != nil {
		return s.env[name]
	}
	directory, err := os.Getwd()
	if err != nil {
		t.Fatalf("find the repository: %v", err)
	}
	value, err := lookup(name, directory)
	if err != nil {
		t.Fatalf("read .services/env: %v", err)
	}
	if value != "" {
		return value
	}
	SkipOrFail(t, "needs a real server and %s is not set: run scripts/services up", name)
	return ""
}

// SkipOrFail ends a test that needs what the machine does not have: it is skipped,
// and fails with CI set.
func SkipOrFail(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf(format+" (with CI set this is a failure)", args...)
	}
	t.Skipf(format, args...)
}

// lookup returns the value of name from the environment, else from .services/env of the module that directory is in, else "".
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

// parseEnvFile returns the names and values of a file that scripts/services has written.
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

// unquote undoes the single quotes that scripts/services puts around a value for the shell.
func unquote(value string) string {
	if len(value) < 2 || value[0] != '\'' || value[len(value)-1] != '\'' {
		return value
	}
	return strings.ReplaceAll(value[1:len(value)-1], `'\''`, `'`)
}

// cleanupContext is for the removal of what a test used: its own context has ended by then.
func cleanupContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 30*time.Second)
}

// uniqueName returns a name for a database or bucket: lower-case letters, digits and separator, from the name of the test so that a
// person can tell whose it is, and random digits so that no other test run has it.
func uniqueName(t testing.TB, separator byte) string {
	var random [6]byte
	if _, err := rand.Read(random[:]); err != nil {
		t.Fatalf("make a random name: %v", err)
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

package fault_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed-7a112592/gristmill/test/corpus"
	"github.com/seed-7a112592/gristmill/test/services"
)

// set is the set of servers that the tests of this package use, and may break.
var set struct {
	once sync.Once
	root string // of the repository; empty while there is no set
	err  error
}

// needServers sees to it that the servers of this package are up, and that
// test/services gives tests what is on them. Where there can be none the test
// is skipped; with CI set it fails.
func needServers(t *testing.T) {
	t.Helper()
	set.once.Do(func() { set.err = startServers() })
	switch {
	case set.err == nil:
	case os.Getenv("CI") != "":
		t.Fatal(set.err)
	default:
		t.Skip(set.err)
	}
}

func startServers() (err error) {
	root, err := corpus.Root()
	if err != nil {
		return err
	}
	set.root = root
	if err := command("up", "--durable"); err != nil {
		return err
	}
	return services.Use(filepath.Join(servicesDir(), "env"))
}

// removeServers removes the servers, if there are any, and what they hold.
func removeServers() {
	set.once.Do(func() {})
	if set.root == "" {
		return
	}
	if err := command("down"); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func servicesDir() string { return filepath.Join(set.root, ".services", "fault") }

// command runs scripts/services for the set of this package.
func command(args ...string) error {
	services := exec.Command(filepath.Join(set.root, "scripts", "services"), args...)
	// Addresses in the environment are of servers that other tests use.
	services.Env = slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "GRISTMILL_") })
	services.Env = append(services.Env, "GRISTMILL_SERVICES_DIR="+servicesDir())
	var said bytes.Buffer
	services.Stderr = &said
	if err := services.Run(); err != nil {
		return fmt.Errorf("scripts/services %s: %w\n%s", strings.Join(args, " "), err, said.String())
	}
	return nil
}

// stopServer stops one of the servers: postgres, redis or minio. It runs again
// when the test ends, at the latest. The test must not be parallel with others.
func stopServer(t *testing.T, name string, how ...string) {
	t.Helper()
	t.Cleanup(func() { startServer(t, name) })
	if err := command(append([]string{"stop", name}, how...)...); err != nil {
		t.Fatal(err)
	}
}

// startServer starts it again, on the same port and with its data.
func startServer(t *testing.T, name string) {
	t.Helper()
	if err := command("start", name); err != nil {
		t.Fatal(err)
	}
}

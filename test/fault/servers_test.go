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

	"github.com/seed-7a112592/gristmill/internal/test/repository"
	"github.com/seed-7a112592/gristmill/internal/test/services"
)

// servers is a set of PostgreSQL, Redis and MinIO that no other package uses.
type servers struct {
	root, dir string // of the repository, and GRISTMILL_SERVICES_DIR
	services.Servers
}

// runningServers holds the running servers, so that they are also removed when the process is
// interrupted during a test.
var runningServers struct {
	sync.Mutex
	running []*servers
}

// sharedServers returns the servers for tests that stop none. If no servers can be started, the
// test is skipped; with CI set it fails.
func sharedServers(t *testing.T) *servers {
	t.Helper()
	s, err := sharedOnce()
	skipOnError(t, err)
	return s
}

var sharedOnce = sync.OnceValues(func() (*servers, error) { return newServers("shared") })

// ownServers returns servers for this test alone, which it may stop.
func ownServers(t *testing.T) *servers {
	t.Helper()
	s, err := newServers(t.Name())
	skipOnError(t, err)
	t.Cleanup(s.remove)
	return s
}

func skipOnError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		services.SkipOrFail(t, "%v", err)
	}
}

func newServers(name string) (*servers, error) {
	root, err := repository.Root()
	if err != nil {
		return nil, err
	}
	s := &servers{root: root, dir: filepath.Join(root, ".services", "fault", name)}
	if err := s.command("up", "--durable"); err != nil {
		return nil, err
	}
	runningServers.Lock()
	runningServers.running = append(runningServers.running, s)
	runningServers.Unlock()
	s.Servers, err = services.ReadAddresses(filepath.Join(s.dir, "env"))
	return s, err
}

// remove removes the servers and their data.
func (s *servers) remove() {
	if err := s.command("down"); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func removeAllServers() {
	runningServers.Lock()
	defer runningServers.Unlock()
	for _, s := range runningServers.running {
		s.remove()
	}
}

// command runs scripts/services for these servers.
func (s *servers) command(args ...string) error {
	script := exec.Command(filepath.Join(s.root, "scripts", "services"), args...)
	// The addresses in the environment belong to servers that other tests use.
	script.Env = slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "GRISTMILL_TEST_") })
	script.Env = append(script.Env, "GRISTMILL_SERVICES_DIR="+s.dir)
	var stderr bytes.Buffer
	script.Stderr = &stderr
	if err := script.Run(); err != nil {
		return fmt.Errorf("scripts/services %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return nil
}

// stop stops one of the servers: postgres, redis or minio. It is started again at the end of the
// test at the latest.
func (s *servers) stop(t *testing.T, name string, how ...string) {
	t.Helper()
	t.Cleanup(func() { s.start(t, name) })
	if err := s.command(append([]string{"stop", name}, how...)...); err != nil {
		t.Fatal(err)
	}
}

// start starts a stopped server on its port, with its data.
func (s *servers) start(t *testing.T, name string) {
	t.Helper()
	if err := s.command("start", name); err != nil {
		t.Fatal(err)
	}
}

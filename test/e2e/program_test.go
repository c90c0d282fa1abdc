// Package e2e_test drives the real programs as their users do: built, started
// as processes, and talked to over HTTP.
package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/client"
	"github.com/seed-7a112592/gristmill/test/corpus"
)

// patience bounds every wait. Reaching it is a failure, never a step.
const patience = 4 * time.Minute

// build builds all programs once and returns their directory. They are built
// without the race detector, as they are shipped; the packages' own tests run
// with it.
var build = sync.OnceValues(func() (string, error) {
	root, err := corpus.Root()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "gristmill-e2e-")
	if err != nil {
		return "", err
	}
	command := exec.Command("go", "build", "-o", dir, "./cmd/...")
	command.Dir = root
	if out, err := command.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	status := m.Run()
	if dir, _ := build(); dir != "" {
		os.RemoveAll(dir)
	}
	os.Exit(status)
}

// program is a running process.
type program struct {
	name string
	t    *testing.T
	cmd  *exec.Cmd
	addr chan string // where it listens, once it does

	mu   sync.Mutex
	log  bytes.Buffer // what it wrote to standard error
	out  bytes.Buffer // and to standard output
	done chan struct{}
}

// start starts a program with nothing in its environment but env, PATH and
// HOME. It is killed when the test ends, if it still runs.
func start(t *testing.T, env []string, name string, args ...string) *program {
	t.Helper()
	dir, err := build()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{name: name, t: t, addr: make(chan string, 1), done: make(chan struct{})}
	p.cmd = exec.Command(filepath.Join(dir, name), args...)
	p.cmd.Dir = t.TempDir()
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, env...)
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	readers.Go(func() { p.read(stderr, &p.log) })
	readers.Go(func() { p.read(stdout, &p.out) })
	go func() {
		readers.Wait()
		_ = p.cmd.Wait() // its state is looked at by whoever waits for done
		close(p.done)
	}()
	t.Cleanup(p.kill)
	return p
}

// read keeps what the program writes and looks for the address it listens on.
func (p *program) read(from io.Reader, into *bytes.Buffer) {
	for reader := bufio.NewReader(from); ; {
		line, err := reader.ReadString('\n')
		p.mu.Lock()
		into.WriteString(line)
		p.mu.Unlock()
		if addr := listeningAddr(line); addr != "" {
			p.addr <- addr
		}
		if err != nil {
			return
		}
	}
}

// listeningAddr finds the address in a server's log line, or in what dev mode
// tells a person.
func listeningAddr(line string) string {
	var record struct{ Msg, Addr string }
	if json.Unmarshal([]byte(line), &record) == nil && record.Msg == "listening" {
		return record.Addr
	}
	if rest, ok := strings.CutPrefix(line, "API"); ok {
		addr, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(rest), "http://"), " ")
		return addr
	}
	return ""
}

// listening waits until the program listens and returns its base URL.
func (p *program) listening() string {
	p.t.Helper()
	select {
	case addr := <-p.addr:
		return "http://" + addr
	case <-p.done:
		p.t.Fatalf("%s ended before it listened:\n%s", p.name, p.output())
	case <-time.After(patience):
		p.t.Fatalf("%s does not listen:\n%s", p.name, p.output())
	}
	return ""
}

// client returns a client of the program once it listens.
func (p *program) client(key string) *client.Client {
	p.t.Helper()
	c, err := client.New(p.listening(), key, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

// kill ends the program as a crash would, and waits until it is gone.
func (p *program) kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.done
}

// stop asks the program to end and returns its exit status.
func (p *program) stop() int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatalf("stop %s: %v\n%s", p.name, err, p.output())
	}
	return p.wait()
}

// wait waits until the program has ended and returns its exit status.
func (p *program) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("%s does not end:\n%s", p.name, p.output())
	}
	return p.cmd.ProcessState.ExitCode()
}

// output returns all that the program wrote.
func (p *program) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String() + p.log.String()
}

// within returns a context that ends when patience does.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

package program

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-7a112592/gristmill/pkg/client"
)

// waitTimeout limits every wait. A test that reaches it fails.
const waitTimeout = 4 * time.Minute

// Program is a running process.
type Program struct {
	Name string

	t    testing.TB
	cmd  *exec.Cmd
	done chan struct{}

	listen    sync.Once
	listening chan struct{} // closed once addr is known
	addr      string

	mu     sync.Mutex
	stdout bytes.Buffer
	stderr bytes.Buffer
}

// Start starts a program with only env, PATH and HOME in its environment. name is a program of
// cmd/, or the absolute path of another program. The program is killed when the test ends, if it is
// still running. Its standard input reaches end of file when the process that started it ends, so a
// program that reads it can notice that.
func Start(t testing.TB, env []string, name string, args ...string) *Program {
	t.Helper()
	path := name
	if !filepath.IsAbs(name) {
		path = Path(t, name)
	}
	p := &Program{Name: name, t: t, done: make(chan struct{}), listening: make(chan struct{})}
	p.cmd = exec.Command(path, args...)
	p.cmd.Dir = filepath.Dir(Path(t, "gristmill"))
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, env...)
	if _, err := p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	readers.Go(func() { p.copyOutput(stdout, &p.stdout) })
	readers.Go(func() { p.copyOutput(stderr, &p.stderr) })
	go func() {
		readers.Wait()
		_ = p.cmd.Wait() // callers read the exit status from ProcessState after done
		close(p.done)
	}()
	t.Cleanup(p.Kill)
	return p
}

// copyOutput stores what the program writes, and looks for the address that it listens on.
func (p *Program) copyOutput(from io.Reader, into *bytes.Buffer) {
	for reader := bufio.NewReader(from); ; {
		line, err := reader.ReadString('\n')
		p.mu.Lock()
		into.WriteString(line)
		p.mu.Unlock()
		if addr := listeningAddr(line); addr != "" {
			p.listen.Do(func() {
				p.addr = addr
				close(p.listening)
			})
		}
		if err != nil {
			return
		}
	}
}

// listeningAddr returns the address in a server's log line, or in the line that dev mode prints for
// users, or "".
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

// URL waits until the program listens and returns its base URL.
func (p *Program) URL() string {
	p.t.Helper()
	p.await(p.listening, "does not listen")
	return "http://" + p.addr
}

// Client returns a client of the program once it listens.
func (p *Program) Client(key string) *client.Client {
	p.t.Helper()
	c, err := client.New(p.URL(), key, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

// Send makes one request with APIKey and a JSON body. Unlike the client, it never retries.
func (p *Program) Send(ctx context.Context, method, path string, body any) (status int, header http.Header, answer []byte, err error) {
	p.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		return 0, nil, nil, err
	}
	request, err := http.NewRequestWithContext(ctx, method, p.URL()+path, bytes.NewReader(text))
	if err != nil {
		return 0, nil, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+APIKey)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, nil, err
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(response.Body)
	return response.StatusCode, response.Header, answer, err
}

// PID returns the process id.
func (p *Program) PID() int { return p.cmd.Process.Pid }

// Signal sends a signal to the program.
func (p *Program) Signal(signal syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		p.t.Fatalf("send %s to %s: %v\n%s", signal, p.Name, err, p.tail())
	}
}

// Kill kills the program, as a crash would, and waits until it has ended. Does nothing if it has
// ended already.
func (p *Program) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Stop asks the program to end and returns its exit status.
func (p *Program) Stop() int {
	p.t.Helper()
	p.Signal(syscall.SIGTERM)
	return p.Wait()
}

// Wait waits until the program has ended and returns its exit status.
func (p *Program) Wait() int {
	p.t.Helper()
	p.await(p.done, "does not end")
	return p.cmd.ProcessState.ExitCode()
}

// Done is closed when the program has ended.
func (p *Program) Done() <-chan struct{} { return p.done }

// await waits for an event. Fails the test when the program ends before it, or after waitTimeout.
func (p *Program) await(event <-chan struct{}, failure string) {
	p.t.Helper()
	select {
	case <-event:
		return
	case <-p.done:
	case <-p.t.Context().Done():
	case <-time.After(waitTimeout):
	}
	select {
	case <-event: // it happened while the program ended
	default:
		p.t.Fatalf("%s %s:\n%s", p.Name, failure, p.tail())
	}
}

// Output returns everything that the program has written.
func (p *Program) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stdout.String() + p.stderr.String()
}

// LostLeaseLine returns a line of a worker's log that says that another worker holds the lease of a
// task or a reindex, or "".
func (p *Program) LostLeaseLine() string {
	for line := range strings.Lines(p.Output()) {
		if strings.Contains(line, "claimed by another worker") || strings.Contains(line, "no longer holds the lease") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// LogWarnings returns the number of lines in the program's log above level INFO, and the last of
// them.
func (p *Program) LogWarnings() string {
	const maxLines, maxLength = 10, 500
	var warnings []string
	for line := range strings.Lines(p.Output()) {
		if !strings.Contains(line, `"level":"INFO"`) && !strings.Contains(line, `"level":"DEBUG"`) {
			warnings = append(warnings, strings.TrimSpace(line[:min(len(line), maxLength)]))
		}
	}
	return fmt.Sprintf("%s (%d) logged %d warnings; the last ones:\n%s", p.Name, p.PID(), len(warnings),
		strings.Join(warnings[max(0, len(warnings)-maxLines):], "\n"))
}

// tail returns the last 16 KB of the program's output.
func (p *Program) tail() string {
	const size = 16 << 10
	output := p.Output()
	return output[max(0, len(output)-size):]
}

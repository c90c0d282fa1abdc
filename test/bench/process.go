package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os/exec"
	"sync"
	"time"
)

// patience bounds every wait for something that takes moments.
const patience = 30 * time.Second

// process is a program that was started.
type process struct {
	b    *bench
	name string
	cmd  *exec.Cmd
	addr chan string // where it listens, once it does
	done chan struct{}

	mu   sync.Mutex
	tail []byte // of what it wrote
}

// start starts a program with nothing in its environment but env. It lives as
// long as its standard input, and is killed when the part ends.
func start(b *bench, env []string, path string, args ...string) *process {
	p := &process{b: b, name: path, addr: make(chan string, 1), done: make(chan struct{})}
	p.cmd = exec.Command(path, args...)
	p.cmd.Env = append([]string{}, env...) // nil would be our own
	output, write := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = write, write
	if _, err := p.cmd.StdinPipe(); err != nil {
		b.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	go p.read(output)
	go func() {
		_ = p.cmd.Wait() // its state is looked at by whoever waits for done
		write.Close()
		close(p.done)
	}()
	b.Cleanup(p.kill)
	return p
}

// read keeps the end of what the process writes, and looks for the address
// that it listens on.
func (p *process) read(from io.Reader) {
	const keep = 4 << 10
	for reader := bufio.NewReader(from); ; {
		line, err := reader.ReadBytes('\n')
		p.mu.Lock()
		p.tail = append(p.tail, line...)
		p.tail = bytes.Clone(p.tail[max(0, len(p.tail)-keep):])
		p.mu.Unlock()
		var record struct{ Msg, Addr string }
		if json.Unmarshal(line, &record) == nil && record.Msg == "listening" {
			p.addr <- record.Addr
		}
		if err != nil {
			return
		}
	}
}

// listening waits until the process listens, and returns where.
func (p *process) listening() string {
	select {
	case addr := <-p.addr:
		return addr
	case <-p.done:
		p.b.Fatalf("%s ended before it listened:\n%s", p.name, p.output())
	case <-time.After(patience):
		p.b.Fatalf("%s does not listen after %s:\n%s", p.name, patience, p.output())
	case <-p.b.ctx.Done():
		p.b.Fatal(p.b.ctx.Err())
	}
	return ""
}

// end waits until a program that ends by itself has.
func (p *process) end() {
	select {
	case <-p.done:
	case <-time.After(patience):
		p.b.Fatalf("%s does not end after %s:\n%s", p.name, patience, p.output())
	case <-p.b.ctx.Done():
		p.b.Fatal(p.b.ctx.Err())
	}
	if !p.cmd.ProcessState.Success() {
		p.b.Fatalf("%s: %s\n%s", p.name, p.cmd.ProcessState, p.output())
	}
}

// kill ends the process and waits until it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.done
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// output returns the end of what the process wrote.
func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.tail)
}

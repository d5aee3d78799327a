// Package process runs a daemon as a process of its own, for programs that measure
// it or try it out, and reads what it uses of the machine. A Process may be used by
// several goroutines; whoever starts one stops it.
package process

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// key is the deploy key of the daemons. They listen on loopback for the length of
// one run.
const key = "bench|loopback-only"

// Process is a daemon.
type Process struct {
	URL string
	cmd *exec.Cmd
	pid int
}

// Of returns a process that somebody else has started, to read what it uses.
func Of(pid int) *Process { return &Process{pid: pid} }

// Start starts the program as a daemon on the database, with more settings for its
// environment, and returns it when it says where it is. What it logs goes to log.
// Start fails when the daemon ends before.
func Start(log io.Writer, program, databaseURL string, more ...string) (*Process, error) {
	cmd := exec.Command(program, "serve", "--listen", "127.0.0.1:0", "--log-level", "error")
	cmd.Env = append(os.Environ(), "TELEMETRYD_DATABASE_URL="+databaseURL, "TELEMETRYD_DEPLOY_KEY="+key)
	cmd.Env = append(cmd.Env, more...)
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the daemon: %w", err)
	}
	p := &Process{cmd: cmd, pid: cmd.Process.Pid}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, at, ok := strings.Cut(lines.Text(), "telemetryd is at "); ok {
			p.URL = at
			break
		}
	}
	go func() {
		for lines.Scan() { // keep its output flowing
		}
	}()
	if p.URL == "" {
		p.Stop()
		return nil, errors.New("the daemon did not start")
	}
	return p, nil
}

// Signal sends it a signal.
func (p *Process) Signal(signal os.Signal) error { return p.cmd.Process.Signal(signal) }

// Stop ends the daemon, in order if that takes no longer than 20 s.
func (p *Process) Stop() {
	_ = p.Signal(os.Interrupt)
	done := make(chan struct{})
	go func() { _ = p.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
	}
}

// PeakMemory is the most memory that the daemon has held so far, in bytes.
func (p *Process) PeakMemory() int64 { return p.status("VmHWM:") }

// ForgetPeakMemory lets PeakMemory begin anew, with what the daemon holds now.
func (p *Process) ForgetPeakMemory() error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.pid), []byte("5"), 0)
}

// Memory is what the daemon holds now, in bytes.
func (p *Process) Memory() int64 { return p.status("VmRSS:") }

// CPU is the processor time that the daemon, and children of it that have ended, have
// used so far.
func (p *Process) CPU() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ") // after the program's name
	fields := strings.Fields(rest)
	if len(fields) < 15 {
		return 0
	}
	var ticks int64
	for _, field := range fields[11:15] { // user and system, then the same of children
		n, _ := strconv.ParseInt(field, 10, 64)
		ticks += n
	}
	const tick = 10 * time.Millisecond // of every Linux
	return time.Duration(ticks) * tick
}

func (p *Process) status(name string) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), name)
	kib, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, _ := strconv.ParseInt(kib, 10, 64)
	return n * 1024
}

// Authorization is the header's value with the daemons' deploy key.
const Authorization = "Convex " + key

package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// benchKey is the deploy key of the daemon under test. It listens on loopback
// for the length of one run.
const benchKey = "bench|loopback-only"

// Process is the daemon under test.
type Process struct {
	URL string
	cmd *exec.Cmd
	pid int
}

func startDaemon(ctx context.Context, program, databaseURL string, more ...string) (*Process, error) {
	cmd := exec.Command(program, "serve", "--listen", "127.0.0.1:0", "--log-level", "error")
	cmd.Env = append(os.Environ(), "TELEMETRYD_DATABASE_URL="+databaseURL, "TELEMETRYD_DEPLOY_KEY="+benchKey)
	cmd.Env = append(cmd.Env, more...)
	cmd.Stderr = os.Stderr
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

// Stop ends the daemon.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(os.Interrupt)
	done := make(chan struct{})
	go func() { _ = p.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
	}
}

// peakMemory is the most memory that the daemon has held so far, in bytes.
func (p *Process) peakMemory() int64 { return p.status("VmHWM:") }

// memory is what the daemon holds now, in bytes.
func (p *Process) memory() int64 { return p.status("VmRSS:") }

// cpu is the processor time that the daemon has used so far.
func (p *Process) cpu() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ") // after the program's name
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	const tick = 10 * time.Millisecond // of every Linux
	return time.Duration(user+system) * tick
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

// authorize puts the deploy key on a request.
func authorize(r *http.Request) { r.Header.Set("Authorization", "Convex "+benchKey) }

func withDatabase(serverURL, name string) (string, error) {
	u, err := url.Parse(serverURL)
	if err != nil {
		return "", errors.New("the database URL cannot be read")
	}
	u.Path = "/" + name
	return u.String(), nil
}

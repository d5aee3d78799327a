package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// startMark divides the server's log into starts.
const startMark = "---- started by telemetryd ----\n"

// maxLog is the size from which the log is begun anew. What was in it stays
// beside it, until the next time.
const maxLog = 16 << 20

// postmaster is the main process of a server: a child of ours, or one that
// somebody else started. Behind a wrapper, the child is not the postmaster
// itself, whose pid comes from its pid file.
type postmaster struct {
	pid    int           // zero until it has written its pid file
	child  int           // pid of our child, or zero
	exited chan struct{} // closed when our child is gone; nil for others
	once   sync.Once
	poll   chan struct{}
}

// alive reports whether the process exists.
func (p *postmaster) alive() bool {
	if p.exited != nil {
		select {
		case <-p.exited:
			return false
		default:
			return true
		}
	}
	return processExists(p.pid)
}

// done is closed when the process is gone.
func (p *postmaster) done() <-chan struct{} {
	if p.exited != nil {
		return p.exited
	}
	p.once.Do(func() {
		p.poll = make(chan struct{})
		go func() {
			defer close(p.poll)
			for processExists(p.pid) {
				time.Sleep(100 * time.Millisecond)
			}
		}()
	})
	return p.poll
}

// shutdown ends the server: politely until the context ends, then at once. It
// returns when the process is gone.
func (p *postmaster) shutdown(ctx context.Context) {
	if !p.alive() {
		return
	}
	if p.pid == 0 { // so early that there is nothing to lose
		_ = syscall.Kill(-p.child, syscall.SIGKILL)
		<-p.done()
		return
	}
	for _, step := range []struct {
		signal syscall.Signal
		ctx    context.Context
		wait   time.Duration
	}{
		{syscall.SIGINT, ctx, 5 * time.Minute}, // "fast": ends sessions, writes a checkpoint
		{syscall.SIGQUIT, context.WithoutCancel(ctx), 10 * time.Second},
		{syscall.SIGKILL, context.WithoutCancel(ctx), 10 * time.Second},
	} {
		if err := syscall.Kill(p.pid, step.signal); errors.Is(err, syscall.ESRCH) {
			break
		}
		bounded, cancel := context.WithTimeout(step.ctx, step.wait)
		select {
		case <-p.done():
		case <-bounded.Done():
		}
		cancel()
		if !p.alive() {
			return
		}
	}
}

func processExists(pid int) bool {
	err := syscall.Kill(pid, 0)
	if err != nil && !errors.Is(err, syscall.EPERM) {
		return false
	}
	// Dead already, and only waiting for its parent to notice?
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return true
	}
	_, state, _ := strings.Cut(string(stat), ") ") // the name before it may hold anything but this
	return !strings.HasPrefix(state, "Z")
}

// launch starts the server and returns at once.
func (c cluster) launch(bin Programs) (*postmaster, error) {
	c.removeStalePIDFile()
	log, err := c.openLog()
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(bin.Path("postgres"), "-D", c.data())
	cmd.Dir = c.dir
	cmd.Stdout, cmd.Stderr = log, log
	// Out of reach of a terminal's Ctrl-C: the daemon must finish first.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the database server: %w", err)
	}
	process := &postmaster{child: cmd.Process.Pid, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // the log tells why
		close(process.exited)
	}()
	return process, nil
}

// boundLog begins the log anew when it is large. A running server keeps the file
// open and appends to it, so it is copied and emptied: a file of another name
// would be written to for ever.
func (c cluster) boundLog() error {
	info, err := os.Stat(c.logFile())
	if err != nil || info.Size() <= maxLog {
		return nil // a start makes it
	}
	if err := moveContent(c.logFile()+".old", c.logFile()); err != nil {
		return fmt.Errorf("begin the database server's log anew: %w", err)
	}
	return nil
}

func moveContent(to, from string) error {
	source, err := os.OpenFile(from, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer source.Close()
	copied, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(copied, source)
	if err := errors.Join(err, copied.Close()); err != nil {
		return err
	}
	return source.Truncate(0)
}

func (c cluster) openLog() (*os.File, error) {
	if err := c.boundLog(); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(c.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the database server's log: %w", err)
	}
	if _, err := log.WriteString(startMark); err != nil {
		return nil, errors.Join(fmt.Errorf("write the database server's log: %w", err), log.Close())
	}
	return log, nil
}

// running returns the server that is running on the cluster, or nil.
func (c cluster) running() *postmaster {
	pid, _, err := c.readPIDFile()
	if err != nil || !c.isPostmaster(pid) {
		return nil
	}
	return &postmaster{pid: pid}
}

// reportsReady tells whether the process says that it accepts connections, and
// learns its pid.
func (c cluster) reportsReady(process *postmaster) bool {
	pid, status, err := c.readPIDFile()
	if err != nil || !processExists(pid) {
		return false
	}
	process.pid = pid
	return status == "ready"
}

// removeStalePIDFile helps after a crash of the machine, when the pid in the
// file may belong to another program by now, at which the server would refuse
// to start.
func (c cluster) removeStalePIDFile() {
	pid, _, err := c.readPIDFile()
	if err == nil && !c.isPostmaster(pid) {
		_ = os.Remove(c.pidFile()) // the server tells if it is in the way
	}
}

func (c cluster) pidFile() string { return filepath.Join(c.data(), "postmaster.pid") }

// readPIDFile returns the pid and the state ("starting", "ready", "stopping")
// that the running server wrote down.
func (c cluster) readPIDFile() (pid int, status string, err error) {
	content, err := os.ReadFile(c.pidFile())
	if err != nil {
		return 0, "", err
	}
	lines := strings.Split(string(content), "\n")
	pid, err = strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil {
		return 0, "", fmt.Errorf("the server's pid file is damaged: %w", err)
	}
	if len(lines) >= 8 {
		status = strings.TrimSpace(lines[7])
	}
	return pid, status, nil
}

// isPostmaster tells whether the process is the server of this cluster. A
// server works in its data directory; where the system does not show that, any
// living process is taken for it.
func (c cluster) isPostmaster(pid int) bool {
	if !processExists(pid) {
		return false
	}
	if _, err := os.Stat("/proc/self/cwd"); err != nil {
		return true
	}
	dir, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/cwd")
	if err != nil {
		return false
	}
	own, err := filepath.EvalSymlinks(c.data())
	return err == nil && dir == own
}

package pgserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// errLeftovers says that processes of an earlier server are still there.
var errLeftovers = errors.New("processes of an earlier database server are still running")

// cluster is the folder of one server.
type cluster struct{ dir string }

func (c cluster) data() string         { return filepath.Join(c.dir, "cluster") }
func (c cluster) logFile() string      { return filepath.Join(c.dir, "postgres.log") }
func (c cluster) passwordFile() string { return filepath.Join(c.dir, "password") }
func (c cluster) portFile() string     { return filepath.Join(c.dir, "port") }

// sockets is the folder of the unix socket. The path of a socket may have 107
// bytes; below a deep data directory it lives in the folder for temporary
// files instead.
func (c cluster) sockets() string {
	dir := filepath.Join(c.dir, "run")
	if len(dir)+len("/.s.PGSQL.65535.lock") < 107 {
		return dir
	}
	sum := fnv.New64a()
	io.WriteString(sum, c.dir)
	return filepath.Join(os.TempDir(), fmt.Sprintf("telemetryd-%d-%x", os.Geteuid(), sum.Sum64()))
}

// makeSockets makes the socket's folder and checks that it is ours alone,
// because who can reach the socket needs no password.
func (c cluster) makeSockets() error {
	dir := c.sockets()
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make the socket's folder: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("look at the socket's folder: %w", err)
	}
	uid, err := owner(dir)
	if !info.IsDir() || (err == nil && uid != os.Geteuid()) {
		return fmt.Errorf("%s, the folder for the database's socket, belongs to somebody else", dir)
	}
	if info.Mode().Perm() != 0o700 {
		if err := os.Chmod(dir, 0o700); err != nil {
			return fmt.Errorf("close the socket's folder to others: %w", err)
		}
	}
	return nil
}

// version is the version of PostgreSQL that made the cluster, or zero when
// there is none.
func (c cluster) version() (int, error) {
	content, err := os.ReadFile(filepath.Join(c.data(), "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the cluster's version: %w", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return 0, fmt.Errorf("read the cluster's version: %w", err)
	}
	return major, nil
}

// init makes the cluster beside its final place and moves it there when it is
// whole, so that an interrupted start leaves nothing half made.
func (c cluster) init(ctx context.Context, bin Programs) error {
	if err := os.WriteFile(c.passwordFile(), []byte(rand.Text()+"\n"), 0o600); err != nil {
		return fmt.Errorf("write the password: %w", err)
	}
	draft := c.data() + ".new"
	if err := os.RemoveAll(draft); err != nil {
		return fmt.Errorf("remove an unfinished cluster: %w", err)
	}
	args := []string{
		"--pgdata", draft,
		"--username", user, "--pwfile", c.passwordFile(),
		"--auth-local", "trust", "--auth-host", "scram-sha-256",
		"--encoding", "UTF8", "--data-checksums", "--no-instructions",
	}
	if bin.Major >= 17 { // the same on every machine, whatever its C library
		args = append(args, "--locale-provider", "builtin", "--locale", "C.UTF-8")
	} else {
		args = append(args, "--locale", "C")
	}
	if _, err := run(ctx, bin.Path("initdb"), args...); err != nil {
		return fmt.Errorf("make the database cluster: %w", err)
	}
	conf, err := os.OpenFile(filepath.Join(draft, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("configure the cluster: %w", err)
	}
	_, err = conf.WriteString("\ninclude_if_exists = 'telemetryd.conf'\n")
	if err := errors.Join(err, conf.Close()); err != nil {
		return fmt.Errorf("configure the cluster: %w", err)
	}
	if err := os.Rename(draft, c.data()); err != nil {
		return fmt.Errorf("put the cluster in place: %w", err)
	}
	return nil
}

// configure writes the settings and reports whether they differ from what a
// running server was started with.
func (c cluster) configure(settings map[string]string, port int, overrides map[string]string) (changed bool, err error) {
	if err := c.makeSockets(); err != nil {
		return false, err
	}
	settings["port"] = strconv.Itoa(port)
	settings["unix_socket_directories"] = c.sockets()
	settings["unix_socket_permissions"] = "0700"
	for name, value := range overrides {
		settings[name] = value
	}
	path := filepath.Join(c.data(), "telemetryd.conf")
	text := render(settings)
	if old, err := os.ReadFile(path); err == nil && string(old) == text {
		return false, nil
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return false, fmt.Errorf("write the server's settings: %w", err)
	}
	return true, nil
}

// choosePort returns the port to listen on, and remembers it.
func (c cluster) choosePort(wanted int, running bool) (int, error) {
	port := wanted
	if port == 0 {
		content, _ := os.ReadFile(c.portFile()) // missing the first time
		last, _ := strconv.Atoi(strings.TrimSpace(string(content)))
		if last != 0 && (running || portIsFree(last)) {
			return last, nil
		}
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, fmt.Errorf("find a free port for the database: %w", err)
		}
		port = listener.Addr().(*net.TCPAddr).Port
		if err := listener.Close(); err != nil {
			return 0, fmt.Errorf("find a free port for the database: %w", err)
		}
	} else if !running && !portIsFree(port) {
		return 0, fmt.Errorf("the database's port %d is in use by another program", port)
	}
	if err := os.WriteFile(c.portFile(), []byte(strconv.Itoa(port)+"\n"), 0o600); err != nil {
		return 0, fmt.Errorf("remember the database's port: %w", err)
	}
	return port, nil
}

func portIsFree(port int) bool {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return listener.Close() == nil
}

func (c cluster) url(database string, port int) string {
	query := url.Values{"host": {c.sockets()}, "port": {strconv.Itoa(port)}}
	return (&url.URL{Scheme: "postgres", User: url.User(user), Path: "/" + database, RawQuery: query.Encode()}).String()
}

// explain turns the end of the server's log into the reason why it did not
// start.
func (c cluster) explain() error {
	content, err := os.ReadFile(c.logFile())
	if err != nil {
		return fmt.Errorf("the database server ended at once, and its log cannot be read: %w", err)
	}
	text := string(content)
	if at := strings.LastIndex(text, startMark); at >= 0 {
		text = text[at+len(startMark):]
	}
	if strings.Contains(text, "is still in use") || strings.Contains(text, "Is another postmaster") {
		return errLeftovers
	}
	var reasons []string
	for line := range strings.Lines(text) {
		for _, level := range []string{"FATAL: ", "PANIC: ", "ERROR: ", "HINT: ", "bwrap: "} {
			if at := strings.Index(line, level); at >= 0 {
				reasons = append(reasons, strings.TrimSpace(line[at:]))
			}
		}
	}
	if strings.Contains(text, `could not access file "timescaledb"`) {
		return fmt.Errorf("the server programs have no TimescaleDB; run `make db`, or install the timescaledb package for this PostgreSQL: %s", strings.Join(reasons, "; "))
	}
	return fmt.Errorf("the database server does not start: %s (its log: %s)", strings.Join(reasons, "; "), c.logFile())
}

package dbtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/ecovolt/telemetryd/internal/pgserver"
	"github.com/ecovolt/telemetryd/internal/retry"
)

// embedded returns the URL of a server of the checkout's own, in
// .cache/testdb. All test processes of the checkout share it: whoever comes
// first starts it, and it is stopped half a minute after the last one has
// gone.
//
// Each process holds a shared lock on the file "users" as long as it lives; a
// small shell script, started with the server, stops it once it can have that
// lock for itself.
func embedded(ctx context.Context) (string, error) {
	root, err := checkout()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, ".cache", "testdb")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	// A plain descriptor, which nothing closes, and so unlocks, before the
	// process ends.
	users, err := syscall.Open(filepath.Join(dir, "users"), syscall.O_CREAT|syscall.O_RDONLY|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return "", fmt.Errorf("open %s/users: %w", dir, err)
	}
	if err := syscall.Flock(users, syscall.LOCK_SH); err != nil {
		return "", fmt.Errorf("lock %s/users: %w", dir, err)
	}
	programs := filepath.Join(root, ".cache", "pg", "bin")
	if _, err := os.Stat(programs); err != nil || os.Getenv(pgserver.BinDirVariable) != "" {
		programs = "" // found by pgserver, or not
	}
	server, err := startShared(ctx, pgserver.Options{
		DataDir: dir,
		BinDir:  programs,
		Settings: map[string]string{
			"fsync":                              "off", // nothing in it is worth keeping
			"synchronous_commit":                 "off",
			"full_page_writes":                   "off",
			"autovacuum":                         "off", // databases live for seconds
			"shared_buffers":                     "256MB",
			"max_connections":                    "400",
			"max_worker_processes":               "64",
			"timescaledb.max_background_workers": "48",
			// How often its launcher looks (ms). Dropping a database waits for it, and it
			// misses being told while others come and go: for a minute, by default.
			"timescaledb.bgw_launcher_poll_time": "500",
			"log_min_messages":                   "fatal",
		},
	})
	if err != nil {
		return "", err
	}
	if !server.Adopted() {
		if err := stopWhenUnused(dir, server.Programs().Path("pg_ctl")); err != nil {
			return "", err
		}
	}
	return server.URL(), server.Detach()
}

// startShared waits for its turn: another test process may be starting the
// server just now.
func startShared(ctx context.Context, options pgserver.Options) (*pgserver.Server, error) {
	for {
		server, err := pgserver.Start(ctx, options)
		var locked *pgserver.LockedError
		if !errors.As(err, &locked) {
			return server, err
		}
		if retry.Pause(ctx, 50*time.Millisecond) != nil {
			return nil, err
		}
	}
}

func stopWhenUnused(dir, pgCtl string) error {
	const script = `while sleep 30; do
	[ -f cluster/postmaster.pid ] || exit 0
	flock --exclusive --nonblock users "$0" stop --pgdata cluster --mode immediate --silent && exit 0
done`
	cmd := exec.Command("sh", "-c", script, pgCtl)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// Without our output: `go test` waits for whoever holds it.
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the script that stops the server: %w", err)
	}
	return cmd.Process.Release()
}

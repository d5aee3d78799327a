package pgserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	osuser "os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// LockedError says that another process owns the data directory.
type LockedError struct {
	DataDir string
	PID     int // zero when it is not known
}

func (e *LockedError) Error() string {
	owner := "another process"
	if e.PID != 0 {
		owner = fmt.Sprintf("the process %d", e.PID)
	}
	return fmt.Sprintf("the data directory %s is in use by %s; stop it, or choose another folder", e.DataDir, owner)
}

// own makes the folder of a cluster where it is missing, and locks it for this
// process.
func own(c cluster) (*lock, error) {
	_, err := os.Stat(c.dir)
	if !errors.Is(err, fs.ErrPermission) {
		if err := os.MkdirAll(c.dir, 0o700); err != nil {
			return nil, fmt.Errorf("make the data directory: %w", err)
		}
	}
	held, err := takeLock(filepath.Join(c.dir, "lock"))
	if errors.Is(err, fs.ErrPermission) {
		return nil, c.notOurs()
	}
	if err == nil && !c.ours() {
		return nil, errors.Join(c.notOurs(), held.release())
	}
	return held, err
}

// ours reports whether a server of this process could use the folder: it serves
// none but its own user's. Root is for others, whose folder it is.
func (c cluster) ours() bool {
	at := c.data()
	if os.Geteuid() == 0 {
		at = c.dir
	}
	uid, err := owner(at)
	return err != nil || uid == os.Geteuid() // made by the start
}

func (c cluster) notOurs() error {
	who := "another user"
	if uid, err := owner(c.dir); err == nil {
		who = userName(uid)
	}
	return fmt.Errorf("the data directory %s belongs to %s, and this is %s: run the command as its user; beside a running daemon root may, too (sudo). "+
		"TELEMETRYD_DATA_DIR (--data-dir) names another folder", c.dir, who, userName(os.Geteuid()))
}

func owner(path string) (uid int, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	return int(stat.Uid), nil
}

func userName(uid int) string {
	if found, err := osuser.LookupId(strconv.Itoa(uid)); err == nil {
		return fmt.Sprintf("%s (uid %d)", found.Username, uid)
	}
	return fmt.Sprintf("uid %d", uid)
}

// lock is a lock on a file. The system frees it when the process ends, in
// whatever way; the file stays and means nothing by itself.
type lock struct{ file *os.File }

func takeLock(path string) (*lock, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the data directory: %w", err)
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		defer file.Close()
		content := make([]byte, 20)
		n, _ := file.Read(content) // who it is only helps the reader
		pid, _ := strconv.Atoi(strings.TrimSpace(string(content[:n])))
		return nil, &LockedError{DataDir: filepath.Dir(path), PID: pid}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock the data directory: %w", err), file.Close())
	}
	if err = file.Truncate(0); err == nil {
		_, err = file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("write the lock of the data directory: %w", err), file.Close())
	}
	return &lock{file}, nil
}

func (l *lock) release() error {
	if err := l.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return fmt.Errorf("release the data directory: %w", err)
	}
	return nil
}

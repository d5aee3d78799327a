package pgserver

import (
	"errors"
	"fmt"
	"os"
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

package pgserver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// errNotRunning says that no server of the data directory is running.
var errNotRunning = errors.New("the embedded database is not running")

// Locate returns the URL of the server that another process runs on the data
// directory, for commands that work beside it. It goes through the unix socket.
func Locate(dataDir string) (string, error) {
	dir, err := filepath.Abs(dataDir)
	if err != nil {
		return "", fmt.Errorf("find the embedded database: %w", err)
	}
	c := cluster{dir}
	text, err := os.ReadFile(c.portFile())
	if err != nil {
		return "", errNotRunning
	}
	port, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return "", errNotRunning
	}
	if _, err := os.Stat(filepath.Join(c.sockets(), ".s.PGSQL."+strconv.Itoa(port))); err != nil {
		return "", errNotRunning
	}
	return c.url(database, port), nil
}

// Exists tells whether the folder holds a cluster, running or not.
func Exists(dataDir string) bool {
	dir, err := filepath.Abs(dataDir)
	if err != nil {
		return false
	}
	major, err := cluster{dir: dir}.version()
	return err != nil || major > 0
}

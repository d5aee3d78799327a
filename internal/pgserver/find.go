package pgserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// minimumMajor is the oldest PostgreSQL that the daemon works with.
const minimumMajor = 15

// BinDirVariable names the environment variable with the folder of the server
// programs.
const BinDirVariable = "TELEMETRYD_PG_BINDIR"

// ErrNoPrograms is in the error of Find when the machine has no server to run.
var ErrNoPrograms = errors.New("no PostgreSQL with TimescaleDB found on this machine")

// Programs is a folder of server programs: postgres, initdb and their company.
type Programs struct {
	Dir   string
	Major int    // such as 17
	Text  string // what `postgres --version` says
	LZ4   bool   // built with LZ4 compression
}

// Path is the path of one program.
func (p Programs) Path(name string) string { return filepath.Join(p.Dir, name) }

// Find looks for server programs that can run TimescaleDB: in dir if it is not
// empty, or else where TELEMETRYD_PG_BINDIR says, or else beside the checkout
// that the daemon was built in, where the packages put them, and on the PATH.
// If major is not zero, only that version will do, since a cluster can only be
// run by the version that made it.
func Find(ctx context.Context, dir string, major int) (Programs, error) {
	named := dir
	if named == "" {
		named = os.Getenv(BinDirVariable)
	}
	if named != "" {
		programs, err := inspect(ctx, named, major)
		if err != nil {
			return Programs{}, fmt.Errorf("server programs in %s: %w", named, err)
		}
		return programs, nil
	}
	var reasons []string
	for _, candidate := range usualPlaces() {
		if _, err := os.Stat(filepath.Join(candidate, "postgres")); err != nil {
			continue
		}
		programs, err := inspect(ctx, candidate, major)
		if err == nil {
			return programs, nil
		}
		reasons = append(reasons, fmt.Sprintf("; not %s: %v", candidate, err))
	}
	return Programs{}, fmt.Errorf("%w%s. Run `make db` in the checkout to get one, "+
		"or set TELEMETRYD_DATABASE_URL to a database or %s to the folder of a server's programs",
		ErrNoPrograms, strings.Join(reasons, ""), BinDirVariable)
}

func usualPlaces() []string {
	var places []string
	if self, err := os.Executable(); err == nil {
		if self, err = filepath.EvalSymlinks(self); err == nil {
			// bin/telemetryd of a checkout
			places = append(places, filepath.Join(filepath.Dir(self), "..", ".cache", "pg", "bin"))
		}
	}
	var installed []string
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",
		"/usr/pgsql-*/bin",
		"/usr/local/pgsql/bin",
		"/opt/homebrew/opt/postgresql@*/bin",
		"/usr/local/opt/postgresql@*/bin",
	} {
		matches, _ := filepath.Glob(pattern) // the patterns are sound
		installed = append(installed, matches...)
	}
	slices.SortStableFunc(installed, func(a, b string) int { return lastNumber(b) - lastNumber(a) })
	places = append(places, installed...)
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			places = append(places, filepath.Dir(path))
		}
	}
	return places
}

var digits = regexp.MustCompile(`[0-9]+`)

// lastNumber is what folders are sorted by, the newest version first.
func lastNumber(path string) int {
	all := digits.FindAllString(path, -1)
	if len(all) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(all[len(all)-1]) // too long a number is no version
	return n
}

// inspect tells whether the server programs in dir will do.
func inspect(ctx context.Context, dir string, major int) (Programs, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Programs{}, err
	}
	programs := Programs{Dir: dir}
	for _, name := range []string{"postgres", "initdb"} {
		if _, err := os.Stat(programs.Path(name)); err != nil {
			return Programs{}, fmt.Errorf("there is no %s", name)
		}
	}
	if os.Geteuid() == 0 && isELF(programs.Path("postgres")) {
		return Programs{}, errors.New("PostgreSQL refuses to run as root")
	}
	out, err := run(ctx, programs.Path("postgres"), "--version")
	if err != nil {
		return Programs{}, err
	}
	programs.Text = strings.TrimSpace(out)
	if programs.Major, err = parseMajor(programs.Text); err != nil {
		return Programs{}, err
	}
	switch {
	case programs.Major < minimumMajor:
		return Programs{}, fmt.Errorf("version %d is too old, %d or newer is needed", programs.Major, minimumMajor)
	case major != 0 && programs.Major != major:
		return Programs{}, fmt.Errorf("it is version %d, and the data directory was made by version %d", programs.Major, major)
	}
	// pg_config is not always installed. Without it, the start will tell.
	if out, err := run(ctx, programs.Path("pg_config"), "--configure", "--sharedir"); err == nil {
		configure, share, _ := strings.Cut(strings.TrimSpace(out), "\n")
		programs.LZ4 = strings.Contains(configure, "--with-lz4")
		if isELF(programs.Path("postgres")) { // or else the folder is that of a wrapper's inside
			if _, err := os.Stat(filepath.Join(share, "extension", "timescaledb.control")); err != nil {
				return Programs{}, errors.New("it has no TimescaleDB")
			}
		}
	}
	return programs, nil
}

var versionPattern = regexp.MustCompile(`\(PostgreSQL\) ([0-9]+)`)

func parseMajor(text string) (int, error) {
	match := versionPattern.FindStringSubmatch(text)
	if match == nil {
		return 0, fmt.Errorf("not a PostgreSQL server: it says %q", text)
	}
	return strconv.Atoi(match[1])
}

// isELF tells a program of the machine from a script that wraps one.
func isELF(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	magic := make([]byte, 4)
	_, err = file.Read(magic)
	return err == nil && string(magic) == "\x7fELF"
}

func run(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = append(os.Environ(), "LC_ALL=C") // what they say is read here
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", filepath.Base(name), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

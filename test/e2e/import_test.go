package e2e

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/dbtest"
)

// sampleSession is the session of testdata/session.csv, the beginning of a real run.
const sampleSession = "5dde09d3-8a69-47e6-9e00-6c4c4d2da226"

// cli runs the program against one database.
type cli struct {
	t    testing.TB
	url  string
	pool *pgxpool.Pool
	dir  string
}

func newCLI(t testing.TB) *cli {
	t.Helper()
	dbtest.NeedsBackends(t, "the server has one backend, which another process cannot share")
	return &cli{t: t, url: dbtest.URL(t), pool: dbtest.New(t), dir: t.TempDir()}
}

func (c *cli) run(stdin string, args ...string) (stdout, stderr string, code int) {
	c.t.Helper()
	cmd := exec.Command(program(c.t), args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	cmd.Env = environment("TELEMETRYD_DATABASE_URL=" + c.url)
	cmd.Dir = c.dir
	err := cmd.Run()
	if err != nil && cmd.ProcessState == nil {
		c.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// must runs a command that has to succeed.
func (c *cli) must(stdin string, args ...string) string {
	c.t.Helper()
	out, errs, code := c.run(stdin, args...)
	if code != 0 {
		c.t.Fatalf("telemetryd %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// imports wants an import to store so many records and to find others stored.
func (c *cli) imports(stored, before int, stdin string, args ...string) {
	c.t.Helper()
	out := c.must(stdin, append([]string{"import", "--quiet"}, args...)...)
	if want := fmt.Sprintf("stored %d records, %d were stored before", stored, before); !strings.Contains(out, want) {
		c.t.Errorf("import %s: want %s\n%s", strings.Join(args, " "), want, out)
	}
}

func (c *cli) file(name string, content []byte) string {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		c.t.Fatal(err)
	}
	return path
}

func (c *cli) records() (n int) {
	c.t.Helper()
	if err := c.pool.QueryRow(c.t.Context(), `SELECT count(*) FROM telemetry`).Scan(&n); err != nil {
		c.t.Fatal(err)
	}
	return n
}

// What a dry run says of values that cannot be, the import says after it, too.
func TestImportWarnsAsADryRunDoes(t *testing.T) {
	t.Parallel()
	c := newCLI(t)
	file := c.file("quick.csv", []byte("session_id,timestamp,speed_ms\nquick,2026-03-21T10:00:00Z,4\nquick,2026-03-21T10:00:01Z,88\n"))
	const want = "4..88 m/s is more than expected (-1..20): is it in another unit?"
	for _, args := range [][]string{{"--dry-run"}, nil} {
		if out := c.must("", append([]string{"import", "--quiet", file}, args...)...); !strings.Contains(out, want) {
			t.Errorf("%v: no %q in\n%s", args, want, out)
		}
	}
}

func cells(t testing.TB, text string) [][]string {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// sameCells wants an export to have every cell of the original, byte for byte,
// and no value besides.
func sameCells(t testing.TB, original, export string, except ...string) {
	t.Helper()
	want, got := cells(t, original), cells(t, export)
	if len(want) != len(got) {
		t.Fatalf("%d rows, want %d", len(got), len(want))
	}
	column := map[string]int{}
	for i, name := range got[0] {
		column[name] = i
	}
	used := map[int]bool{}
	wrong := 0
	for i, name := range want[0] {
		if name == "altitude" {
			name = "altitude_m"
		}
		at, ok := column[name]
		if !ok {
			t.Fatalf("the export has no column %s", name)
		}
		used[at] = true
		if slices.Contains(except, name) {
			continue
		}
		for row := range want {
			if row > 0 && want[row][i] != got[row][at] {
				if wrong++; wrong < 10 {
					t.Errorf("row %d, %s: %q, want %q", row, name, got[row][at], want[row][i])
				}
			}
		}
	}
	for row := range got {
		for i, cell := range got[row] {
			if row > 0 && !used[i] && cell != "" {
				t.Fatalf("row %d has %q in %s, which the original lacks", row, cell, got[0][i])
			}
		}
	}
}

func TestImportAndExport(t *testing.T) {
	t.Parallel()
	c := newCLI(t)
	text, err := os.ReadFile("testdata/session.csv")
	if err != nil {
		t.Fatal(err)
	}
	original := string(text)
	path := c.file("session.csv", text)

	out := c.must("", "import", "--dry-run", "--database-url", "postgres://nobody@127.0.0.1:1/none", path)
	if !strings.Contains(out, "300 good records, 0 bad ones; nothing was stored") || c.records() != 0 {
		t.Errorf("dry run: %d records stored\n%s", c.records(), out)
	}
	c.imports(300, 0, "", path)
	c.imports(0, 300, "", path)
	c.imports(0, 300, original, "-")
	sameCells(t, original, c.must("", "export", sampleSession))

	// Every form gives the same session.
	gzPath, zstPath := c.file("packed", gz(original)), c.file("tight.csv.zst", zst(original))
	for _, source := range []string{gzPath, zstPath} {
		c.imports(0, 300, "", source)
	}
	for _, name := range []string{"out.csv", "out.csv.gz", "out.csv.zst", "out.ndjson", "out.ndjson.gz", "out.json", "out.jsonl.zst"} {
		c.must("", "export", "--output", name, sampleSession)
		c.imports(0, 300, "", name)
		copied := strings.ReplaceAll(name, ".", "-")
		c.imports(300, 0, "", "--session-id", copied, name)
		sameCells(t, original, c.must("", "export", copied), "session_id")
	}
	// So do tables in other units.
	for system, header := range map[string]string{"metric": ",speed_ms (km/h),", "si": ",avg_speed_kmh (m/s),"} {
		table := c.must("", "export", "--units", system, sampleSession)
		if !strings.Contains(table, header) {
			t.Errorf("%s: %.300s", system, table)
		}
		c.imports(300, 0, table, "--session-id", system, "-")
		sameCells(t, original, c.must("", "export", system), "session_id")
	}
	exported, err := os.ReadFile(filepath.Join(c.dir, "out.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	c.imports(300, 0, string(exported), "--session-id", "from stdin", "-")

	// A part of a session, and a choice of its fields.
	rows := cells(t, c.must("", "export", "--from", "2026-03-21T21:41:11+00:00", "--to", "2026-03-21T21:41:13+00:00", "--fields", "speed_ms,voltage_v", sampleSession))
	if len(rows) < 5 || !slices.Equal(rows[0], []string{"session_id", "timestamp", "speed_ms", "voltage_v"}) ||
		rows[1][1] < "2026-03-21T21:41:11" || rows[len(rows)-1][1] >= "2026-03-21T21:41:13" {
		t.Errorf("a part: %v to %v", rows[0], rows[len(rows)-1])
	}
	if _, errs, code := c.run("", "export", "no such session"); code != 1 || !strings.Contains(errs, "no session") {
		t.Errorf("exporting no session: %d, %s", code, errs)
	}
	checkConsistent(t, c.pool)
}

func TestImportOfBadFiles(t *testing.T) {
	t.Parallel()
	c := newCLI(t)
	const head = "session_id,timestamp,speed_ms\n"
	const fine = "s,2026-03-21T21:41:10Z,1\n"
	bad := c.file("bad.csv", []byte(head+fine+"s,2026-03-21T21:41:11Z,fast\n"+fine))
	goodFile := c.file("good.csv", []byte("session_id,timestamp,speed_ms\nother,2026-03-21T21:41:10Z,1\n"))
	cut := gz(strings.Repeat(good+"\n", 20_000))
	for name, test := range map[string]struct {
		args []string
		says string
	}{
		"a bad record":         {[]string{bad}, "record 1, field speed_ms"},
		"a bad record, tested": {[]string{"--dry-run", bad}, "record 1, field speed_ms"},
		"gzip cut short":       {[]string{c.file("cut.gz", cut[:len(cut)-20])}, "unexpected EOF"},
		"zstd cut short":       {[]string{c.file("cut.zst", zst(strings.Repeat(good+"\n", 20_000))[:60])}, "unexpected EOF"},
		"no such file":         {[]string{"absent.csv"}, "absent.csv"},
		"a folder":             {[]string{c.dir}, "directory"},
		"no records":           {[]string{c.file("text", []byte("Dear team,\nhello\n"))}, "timestamp"},
		"broken NDJSON":        {[]string{c.file("broken.ndjson", []byte(good+"\n{\n"))}, "record 1"},
	} {
		out, errs, code := c.run("", append([]string{"import", "--quiet"}, test.args...)...)
		if code != 1 || !strings.Contains(out+errs, test.says) {
			t.Errorf("%s: exit code %d; want 1 and %q\n%s%s", name, code, test.says, out, errs)
		}
		if got := c.records(); got != 0 {
			t.Fatalf("%s stored %d records", name, got)
		}
	}
	if _, errs, code := c.run(head, "import", "--no-such-flag", "-"); code != 2 || !strings.Contains(errs, "no-such-flag") {
		t.Errorf("an unknown flag: %d, %s", code, errs)
	}
	// One bad file does not keep the others out.
	out, errs, code := c.run("", "import", "--quiet", bad, goodFile)
	if code != 1 || c.records() != 1 || !strings.Contains(out, "good.csv: stored 1 records") {
		t.Errorf("a bad and a good file: exit code %d, %d records\n%s%s", code, c.records(), out, errs)
	}
	out = c.must("", "import", "--quiet", "--on-error", "skip", bad)
	if !strings.Contains(out, "stored 2 records") || !strings.Contains(out, "left out 1 bad ones") || !strings.Contains(out, "record 1, field speed_ms") {
		t.Errorf("skipping bad records:\n%s", out)
	}
	// A file that names no session gets one of its own, always the same.
	nameless := c.file("Morning run.csv", []byte("timestamp,speed_ms\n2026-03-21T21:41:10Z,1\n"))
	first := c.must("", "import", "--quiet", nameless)
	session := regexp.MustCompile(`session (csv-morning-run-[0-9a-f]{12}): 1 stored`).FindStringSubmatch(first)
	if session == nil {
		t.Fatalf("a file without sessions:\n%s", first)
	}
	c.imports(0, 1, "", nameless)
	if _, errs, code := c.run("timestamp,speed_ms\n2026-03-21T21:41:10Z,1\n", "import", "-"); code != 1 || !strings.Contains(errs, "--session-id") {
		t.Errorf("standard input without sessions: %d, %s", code, errs)
	}
	c.imports(1, 0, "timestamp,speed_ms\n2026-03-21T21:41:10Z,1\n", "--session-id", "given", "--session-name", "Given", "-")
	if out := c.must("", "export", "given"); !strings.Contains(out, "given,Given,2026-03-21T21:41:10Z,1.0,") {
		t.Errorf("a given session:\n%s", out)
	}
	checkConsistent(t, c.pool)
}

// The bridge's rescue file overlaps with what the bridge posted.
func TestImportSkipsExisting(t *testing.T) {
	t.Parallel()
	c := newCLI(t)
	text, err := os.ReadFile("testdata/session.csv")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(text), "\n")
	part := lines[0] + strings.Join(lines[50:151], "")
	c.imports(101, 0, part, "-")
	path := c.file("rescue.csv", text)
	c.imports(199, 101, "", "--skip-existing", path)
	c.imports(0, 300, "", "--skip-existing", path)
	c.imports(0, 101, part, "--skip-existing", "-")
	sameCells(t, string(text), c.must("", "export", sampleSession))
	checkConsistent(t, c.pool)
}

// The same drive twice is one run, whatever the file and the run are called.
func TestImportTheSameDriveTwice(t *testing.T) {
	t.Parallel()
	c := newCLI(t)
	var text strings.Builder
	text.WriteString("timestamp,speed_ms,voltage_v\n")
	for i := range 100 {
		fmt.Fprintf(&text, "2026-03-21T10:%02d:%02d+00:00,%d.5,48.0\n", i/60, i%60, i)
	}
	monday := c.file("monday.csv", []byte(text.String()))
	c.imports(100, 0, "", monday)
	c.imports(0, 100, "", c.file("copy of monday.csv", []byte(text.String())))
	c.imports(0, 100, "", "--session-name", "Qualifying", monday)
	var id, name string
	if err := c.pool.QueryRow(t.Context(), "SELECT id, name FROM sessions").Scan(&id, &name); err != nil || name != "Qualifying" {
		t.Fatalf("the run is called %q: %v", name, err)
	}
	// Another export of it: fewer columns, and some records more.
	other := "timestamp,speed_ms\n" + regexp.MustCompile(`,48\.0`).ReplaceAllString(text.String()[len("timestamp,speed_ms,voltage_v\n"):], "") + "2026-03-21T11:00:00+00:00,1.5\n"
	path := c.file("other.csv", []byte(other))
	if out, errs, code := c.run("", "import", "--quiet", "--session-id", id, path); code != 1 || !strings.Contains(errs, "100 of the 101 instants") || !strings.Contains(errs, "--skip-existing") || !strings.Contains(errs, "--again") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	if out := c.must("", "import", "--quiet", "--session-id", id, "--again", path); !strings.Contains(out, "already: this may be the same drive") {
		t.Errorf("--again says nothing:\n%s", out)
	}
	c.imports(0, 101, "", "--session-id", id, "--skip-existing", path)
	if got := c.records(); got != 201 {
		t.Errorf("%d records", got)
	}
	checkConsistent(t, c.pool)
}

// The whole real run, where it is at hand: 12,851 records, given back byte for byte.
func TestImportOfTheWholeRun(t *testing.T) {
	t.Parallel()
	path, err := filepath.Abs("../../../shared/data/session-m233.csv")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Skipf("the real run is not at hand: %v", err)
	}
	c := newCLI(t)
	c.imports(12_851, 0, "", path)
	c.imports(0, 12_851, "", path)
	c.imports(0, 12_851, "", "--skip-existing", path)
	sameCells(t, string(text), c.must("", "export", sampleSession))
	if got := c.records(); got != 12_851 {
		t.Errorf("%d records", got)
	}
	checkConsistent(t, c.pool)
}

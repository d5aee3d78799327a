package e2e

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/pgserver"
)

// notRun are the documented commands that a test cannot run, with the reason
// and what is run in the place of each.
var notRun = []struct{ line, reason, instead string }{
	{"make run", "serves until it is stopped", `make --dry-run --directory="$CHECKOUT" run >out && grep -q "serve --demo" out`},
	{"make test", "is what runs this", `make --dry-run --directory="$CHECKOUT" test >out && grep -q scripts/test.sh out`},
	{`make chaos ARGS="--faults 1000 --seed 7"`, "takes half an hour; TestChaos makes fewer faults", `make --dry-run --directory="$CHECKOUT" chaos >out && grep -q bin/telemetryd-chaos out`},
	{`make chaos ARGS="--faults 10000 --seed 7 --at-once 6"`, "takes an hour; TestChaos makes fewer faults", `make --dry-run --directory="$CHECKOUT" chaos >out && grep -q bin/telemetryd-chaos out`},
	{"make chaos ARGS=--hostile", "takes twelve minutes; TestHostile makes the same attacks", `make --dry-run --directory="$CHECKOUT" chaos >out && grep -q bin/telemetryd-chaos out`},
	{"TELEMETRYD_READ_DATABASE_URL=postgres://replica/telemetryd telemetryd serve", "serves until it is stopped; TestReplica does it",
		`TELEMETRYD_READ_DATABASE_URL=postgres://replica/telemetryd telemetryd serve --help >out`},
	{"npx convex export --prod --include-file-storage --path snapshot.zip", "needs a Convex deployment; the snapshot is made up", `test -s snapshot.zip`},
}

// typed is what a person would type at a document's commands.
var typed = map[string]string{"docs/accounts.md": "correct horse battery staple\n"}

// documents returns the files that people copy commands from.
func documents(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(names) < 5 {
		t.Fatalf("the documents are not there: %v, %v", names, err)
	}
	texts := map[string]string{}
	for _, name := range append(names, "../../README.md", "../../SECURITY.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[strings.TrimPrefix(filepath.ToSlash(name), "../../")] = string(text)
	}
	return texts
}

var fence = regexp.MustCompile("(?ms)^```([a-z]*)[^\n]*\n(.*?)^```")

// script puts a document's commands together, in their order, as one shell
// would see them.
func script(name, text string, used map[string]bool) string {
	var b strings.Builder
	for _, m := range fence.FindAllStringSubmatchIndex(text, -1) {
		language, block := text[m[2]:m[3]], text[m[4]:m[5]]
		switch language {
		case "sh", "bash", "shell":
		case "console":
			block = strings.Join(regexp.MustCompile(`(?m)^\$ (.*)$`).FindAllString(block, -1), "\n")
			block = strings.ReplaceAll(block, "$ ", "")
		default:
			continue
		}
		for _, e := range notRun {
			pattern := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(e.line) + `$`)
			if pattern.MatchString(block) {
				used[e.line] = true
				block = pattern.ReplaceAllLiteralString(block, e.instead)
			}
		}
		fmt.Fprintf(&b, "echo '== %s, line %d' >&2\n%s\n", name, 1+strings.Count(text[:m[0]], "\n"), block)
	}
	return b.String()
}

// TestDocumentedCommands runs every command of the documents against a daemon,
// in a home where there is nothing but what the text speaks of.
func TestDocumentedCommands(t *testing.T) {
	t.Parallel()
	daemon := serve(t, "--database-url", dbtest.URL(t), "--debug-listen", "127.0.0.1:0")
	home := t.TempDir()
	furnish(t, home)
	checkout, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	// The home is empty, but what Go has built need not be built again.
	goenv, err := exec.Command("go", "env", "GOCACHE", "GOPATH").Output()
	if err != nil {
		t.Fatal(err)
	}
	cache := strings.Fields(string(goenv))
	env := append(environment(), "GOCACHE="+cache[0], "GOPATH="+cache[1], "HOME="+home, "CHECKOUT="+checkout, "PATH="+filepath.Join(home, "bin")+":"+os.Getenv("PATH"),
		"TELEMETRYD_DATABASE_URL="+dbtest.URL(t), "TELEMETRYD_ANALYST_URL="+analystURL(t), "TELEMETRYD_URL="+daemon.url, "TELEMETRYD_DEPLOY_KEY="+deployKey)
	if programs, err := filepath.Abs("../../.cache/pg/bin"); err == nil && os.Getenv(pgserver.BinDirVariable) == "" {
		if _, err := os.Stat(programs); err == nil {
			env = append(env, pgserver.BinDirVariable+"="+programs)
		}
	}
	// Runs that the bridge has stored.
	for id, file := range map[string]string{"radio-run": "radio.csv", "practice": "practice.csv"} {
		stored := exec.Command(program(t), "import", "--quiet", "--session-id", id, file)
		stored.Dir, stored.Env = home, env
		if out, err := stored.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	empty := dbtest.Empty(t)
	real := strings.NewReplacer("http://127.0.0.1:3210", daemon.url, "http://127.0.0.1:6060", daemon.beside("/debug/pprof/"), "seconds=10", "seconds=1", "postgres://localhost/new", "'"+empty+"'")
	used := map[string]bool{}
	commands := 0
	texts := documents(t)
	for _, name := range []string{"README.md", "docs/operations.md", "docs/accounts.md", "docs/sql.md", "docs/from-convex.md", "docs/import.md", "docs/channels.md", "docs/laps.md", "docs/signals.md", "docs/energy.md", "docs/runs.md", "docs/scaling.md", "docs/reliability.md"} {
		lines := script(name, texts[name], used)
		delete(texts, name)
		commands += strings.Count(lines, "==")
		shell := exec.Command("bash", "-e", "-u", "-o", "pipefail", "-c", real.Replace(lines))
		shell.Dir, shell.Env, shell.Stdin = home, env, strings.NewReader(typed[name])
		if out, err := shell.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		} else if testing.Verbose() {
			t.Logf("%s", out)
		}
	}
	if commands < 12 {
		t.Errorf("only %d blocks of commands were found", commands)
	}
	for name, text := range texts {
		if script(name, text, used) != "" {
			t.Errorf("%s has commands that this test does not run", name)
		}
	}
	for _, e := range notRun {
		if !used[e.line] {
			t.Errorf("no document says %q any more", e.line)
		}
	}
	// That they did what the text says, not only that they ended well.
	pool := dbtest.New(t)
	for what, sql := range map[string]string{
		"the imported run":       `SELECT count(*) = 301 FROM telemetry JOIN sessions USING (session) WHERE id = '5dde09d3-8a69-47e6-9e00-6c4c4d2da226'`,
		"the compressed run":     `SELECT records = 20 FROM sessions WHERE id = 'more'`,
		"the program's records":  `SELECT records = 30 FROM sessions WHERE id = 'run'`,
		"the mapped run":         `SELECT count(*) = 1 FROM telemetry JOIN sessions USING (session) WHERE id LIKE 'csv-wednesday-%' AND voltage_v = 47.5 AND time = '2026-06-03T10:00Z'`,
		"the repaired run":       `SELECT records = 3 AND set_aside = 0 AND first_time = '2026-06-03T09:59:57Z' FROM sessions WHERE id = 'boot'`,
		"the log that has grown": `SELECT records = 2 FROM sessions WHERE id = 'csv-log-0123456789ab'`,
		"no doubtful run":        `SELECT count(*) = 0 FROM sessions WHERE id = 'doubtful'`,
		"the run from Convex":    `SELECT records = 1 FROM sessions WHERE id = 'moved'`,
		"the bridge's keys":      `SELECT count(*) = 2 FROM deploy_keys WHERE name = 'bridge'`,
		"the merged run":         `SELECT count(*) = 1399 FROM telemetry JOIN sessions USING (session) WHERE id = 'radio-run'`,
		"what was merged":        `SELECT count(*) = 2 AND bool_and(undone_by IS NOT NULL) FROM merges`,
		"the run book":           `SELECT name = 'Practice 2' AND driver = 'Ann' AND tags = '{rain,morning}' AND fields = '{"ballast_kg":"4"}' AND plan_energy_wh = 60 AND plan_laps = 11 AND plan_time_s = 2340 FROM run_book JOIN sessions USING (session) WHERE id = 'practice'`,
		"the note":               `SELECT count(*) = 1 FROM notes JOIN sessions USING (session) WHERE id = 'practice' AND from_time = '2026-06-04T10:01Z' AND author_name = 'command line'`,
		"an imported run's book": `SELECT driver = 'Ben' AND plan_distance_km = 5 FROM run_book JOIN sessions USING (session) WHERE id = 'bench-run'`,
		"the first admin":        `SELECT count(*) = 1 FROM users WHERE role = 'admin'`,
	} {
		var ok bool
		if err := pool.QueryRow(t.Context(), sql).Scan(&ok); err != nil || !ok {
			t.Errorf("%s: not there (%v)", what, err)
		}
	}
	if n := queryOne[int64](t, empty, "SELECT count(*) FROM sessions"); n != 5 {
		t.Errorf("the restored database has %d runs, want 5", n)
	}
	exported, err := os.ReadFile(filepath.Join(home, "run.csv.gz"))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(unpack(t, exported), []byte("\n")); n != 302 {
		t.Errorf("the export has %d lines, want 302", n)
	}
}

// furnish puts into the home what the documents speak of.
func furnish(t *testing.T, home string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(filepath.Join(home, "bin"), 0o700))
	must(os.Mkdir(filepath.Join(home, "more"), 0o700))
	must(os.Symlink(program(t), filepath.Join(home, "bin", "telemetryd")))
	export, err := os.ReadFile("testdata/session.csv")
	must(err)
	// The rescue has a hundred rows that were received and one that was not.
	rows := bytes.SplitAfter(export, []byte("\n"))
	var rescue bytes.Buffer
	rescue.Write(rows[0])
	for _, row := range rows[len(rows)-101:] {
		rescue.Write(row)
	}
	rescue.Write(bytes.Replace(rows[1], []byte("T21:41:10.272851"), []byte("T21:59:10.272851"), 1))
	radio, logger := radioAndLogger()
	lines := func(session string, n int) []byte {
		var b bytes.Buffer
		for i := range n {
			b.Write(marshal(recordAt(session, i)))
			b.WriteByte('\n')
		}
		return b.Bytes()
	}
	for name, content := range map[string][]byte{
		"session-m233.csv": export,
		"more/a.ndjson.gz": pack(t, lines("more", 20)),
		"rescue.csv":       rescue.Bytes(),
		"doubtful.csv":     bytes.ReplaceAll(export, []byte("5dde09d3-8a69-47e6-9e00-6c4c4d2da226"), []byte("doubtful")),
		"run.ndjson":       lines("run", 30),
		"boot.ndjson": []byte(`{"session_id":"boot","timestamp":"1980-01-06T00:00:00Z","speed_ms":1}
{"session_id":"boot","timestamp":"1980-01-06T00:00:01Z","speed_ms":2}
{"session_id":"boot","timestamp":"2026-06-03T10:00:00Z","speed_ms":3}
`),
		"second-logger.csv": []byte("timestamp,speed_ms\n2026-06-01T10:00:00Z,5\n"),
		"log.csv":           []byte("timestamp,speed_ms\n2026-06-02T10:00:00Z,5\n2026-06-02T10:00:01Z,6\n"),
		"radio.csv":         []byte(radio),
		"practice.csv":      circles(4),
		"logger.csv":        []byte(logger),
		"lap-timer.csv":     []byte("Time;Speed [km/h]\n2026-06-03 10:00:00;30,5\n2026-06-03 10:00:01;31,0\n"),
		"bench.csv":         []byte("Time,Volts\n0.5,48\n"),
		"monday.csv":        []byte("Zeit;Spannung\n01.06.2026 10:00:00;48,0\n"),
		"pit.csv":           []byte("timestamp,Battery Voltage,GPS Speed\n2026-06-01T10:00:00Z,48,5\n"),
		"tuesday.csv":       []byte("Zeit;Battery Voltage\n02.06.2026 10:00:00;48,0\n"),
		"wednesday.csv":     []byte("Zeit;Battery Voltage\n03.06.2026 10:00:00;47,5\n"),
		"snapshot.zip":      convexSnapshot(t),
	} {
		must(os.WriteFile(filepath.Join(home, name), content, 0o600))
	}
}

// circles is a run of some laps around a circle.
func circles(laps int) []byte {
	var b bytes.Buffer
	b.WriteString("session_id,timestamp,speed_ms,power_w,latitude,longitude,driver_mode\n")
	start := time.Date(2026, 6, 4, 10, 0, 0, 0, time.UTC)
	for way := 0.0; way < float64(laps)*200*math.Pi+20; way += 2 {
		fmt.Fprintf(&b, "circles,%s,10,%.1f,%.7f,%.7f,eco\n", start.Add(time.Duration(way*1e8)).Format("2006-01-02T15:04:05.000000+00:00"),
			200+way/10, 48.1+math.Sin(way/100)/1111.95, 11.5+math.Cos(way/100)/742.6)
	}
	return b.Bytes()
}

func convexSnapshot(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	archive := zip.NewWriter(&b)
	if err := archive.AddFS(fstest.MapFS{
		"README.md":                 {Data: []byte("#")},
		"telemetry/documents.jsonl": {Data: []byte(`{"_id":"k1","_creationTime":1774000000000.5,"session_id":"moved","timestamp":"2026-03-21T10:00:00+00:00","speed_ms":5.0,"message_id":1.0}` + "\n")},
		"sessions/documents.jsonl":  {Data: []byte(`{"_id":"s1","session_id":"moved","record_count":1.0}` + "\n")},
	}); err != nil {
		t.Fatal(err)
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func pack(t *testing.T, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func unpack(t *testing.T, content []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := b.ReadFrom(r); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

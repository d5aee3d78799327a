package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/text/encoding/unicode"
)

// drive is a logger's file of so many seconds, whose times name no zone.
func drive(seconds int) string {
	var text strings.Builder
	text.WriteString("timestamp,speed_ms,voltage_v\n")
	for i := range seconds {
		fmt.Fprintf(&text, "2026-03-21 10:%02d:%02d,%d.5,48.0\n", i/60, i%60, i)
	}
	return text.String()
}

// refused wants an import to be refused with those words, and to store nothing.
func (c *cli) refused(says []string, args ...string) {
	c.t.Helper()
	before := c.records()
	out, errs, code := c.run("", append([]string{"import", "--quiet"}, args...)...)
	if code != 1 || c.records() != before {
		c.t.Errorf("import %s: exit code %d, %d records were stored\n%s%s", strings.Join(args, " "), code, c.records()-before, out, errs)
	}
	for _, words := range says {
		if !strings.Contains(errs, words) {
			c.t.Errorf("import %s: the refusal lacks %q\n%s", strings.Join(args, " "), words, errs)
		}
	}
}

// A file is known by what is in it, however it is packed.
func TestImportOfPackedFiles(t *testing.T) {
	t.Parallel()
	c := newCLI(t)
	text := drive(100)
	c.imports(100, 0, "", c.file("monday.csv.gz", gz(text)))
	c.imports(0, 100, "", c.file("monday.csv", []byte(text)))
	c.imports(0, 100, "", c.file("monday.csv.zst", zst(text)))
	c.imports(0, 100, "", c.file("copy.csv.gz", gz(text)))
	var packed string
	if err := c.pool.QueryRow(t.Context(), "SELECT id FROM sessions").Scan(&packed); err != nil {
		t.Fatal(err)
	}

	// Versions before told a packed file by its bytes.
	if _, err := c.pool.Exec(t.Context(), "UPDATE sessions SET id = 'before' WHERE id = $1", packed); err != nil {
		t.Fatal(err)
	}
	if _, err := c.pool.Exec(t.Context(), "DELETE FROM imported_files"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.pool.Exec(t.Context(), "INSERT INTO imported_files SELECT session, sha256($1) FROM sessions WHERE id = 'before'", gz(text)); err != nil {
		t.Fatal(err)
	}
	c.imports(0, 100, "", c.file("monday.csv.gz", gz(text)))
	checkConsistent(t, c.pool)
}

// The same content with other options is refused by name.
func TestImportWithOtherOptions(t *testing.T) {
	t.Parallel()
	c := newCLI(t)
	monday := c.file("monday.csv", []byte(drive(100)))
	c.imports(100, 0, "", monday)
	var run string
	if err := c.pool.QueryRow(t.Context(), "SELECT id FROM sessions").Scan(&run); err != nil {
		t.Fatal(err)
	}
	says := []string{fmt.Sprintf("this content is in run %q, imported on 20", run), "with other options", "--again", "delete the run"}
	packed := c.file("tuesday.csv.gz", gz(drive(100)))
	c.refused(says, "--timezone", "Europe/Berlin", monday)
	c.refused(says, "--timezone", "Europe/Berlin", packed)
	c.refused(says, "--timezone", "Europe/Berlin", "--skip-existing", monday)
	c.refused(says, "--map", "speed_ms=avg_speed_kmh", "--session-id", run, monday)
	c.imports(0, 100, "", monday)
	c.imports(0, 100, "", "--session-id", run, packed)
	c.imports(100, 0, "", "--again", "--timezone", "Europe/Berlin", monday)
	c.imports(0, 100, "", "--timezone", "Europe/Berlin", monday)
	c.imports(100, 0, "", "--session-id", "other", monday) // as the person says

	// A file that went into a run by its id is known, too.
	named := c.file("named.csv", []byte(drive(50)))
	c.imports(50, 0, "", "--session-id", "mine", named)
	c.imports(0, 50, "", named)
	c.refused([]string{`this content is in run "mine"`}, "--session-id", "mine", "--timezone", "Asia/Tokyo", named)
	if _, err := c.pool.Exec(t.Context(), "UPDATE sessions SET deleted_at = now() WHERE id = 'mine'"); err != nil {
		t.Fatal(err)
	}
	c.imports(50, 0, "", "--timezone", "Asia/Tokyo", named)
	checkConsistent(t, c.pool)
}

// A table whose records name their runs is known like others, whichever way it
// came, and a dry run says so.
func TestImportOfRecordsThatNameTheirRun(t *testing.T) {
	t.Parallel()
	c := newCLI(t)
	var text strings.Builder
	text.WriteString("session_id,timestamp,speed_ms\n")
	for i := range 100 {
		fmt.Fprintf(&text, "run-%d,2026-03-21 10:00:%02d,%d.5\n", i%2, i/2, i)
	}
	path := c.file("two.csv", []byte(text.String()))
	for _, known := range []bool{false, true} {
		if out := c.must("", "import", "--dry-run", "--timezone", "Asia/Tokyo", path); strings.Contains(out, `this content is in run "run-`) != known {
			t.Errorf("a dry run tells that the file is known, and should: %v\n%s", known, out)
		}
		if !known {
			c.imports(100, 0, "", path)
		}
	}
	says := []string{`this content is in run "run-`, "with other options"}
	packed := c.file("two.csv.gz", gz(text.String()))
	c.refused(says, "--timezone", "Asia/Tokyo", path)
	c.refused(says, "--timezone", "Asia/Tokyo", packed)
	if _, errs, code := c.run(text.String(), "import", "--quiet", "--timezone", "Asia/Tokyo", "-"); code != 1 || !strings.Contains(errs, says[0]) {
		t.Errorf("by a pipe: exit code %d\n%s", code, errs)
	}
	c.imports(0, 100, "", packed)
	c.imports(100, 0, "", "--again", "--timezone", "Asia/Tokyo", path)
	checkConsistent(t, c.pool)
}

// Over REST it is told, and nothing stored; a file is known whichever way it came.
func TestUploadsOfAFileThatIsThere(t *testing.T) {
	t.Parallel()
	h := newServer(t, nil)
	post := func(query string, body []byte, encoding string) (answered struct {
		Inserted int
		Already  int `json:"already_stored"`
		Notes    []string
		Sessions []struct {
			ID string `json:"session_id"`
		}
	}) {
		t.Helper()
		header := map[string]string{"Content-Type": asCSV}
		if encoding != "" {
			header["Content-Encoding"] = encoding
		}
		a := h.send(request{path: telemetryPath + "?" + query, body: body, header: header})
		if err := json.Unmarshal(a.body, &answered); err != nil || a.status != 200 {
			t.Fatalf("%s: %v", query, a)
		}
		return answered
	}
	text := drive(100)
	first := post("file_name=monday.csv.gz", gz(text), "gzip")
	if first.Inserted != 100 || len(first.Sessions) != 1 {
		t.Fatalf("%+v", first)
	}
	run := first.Sessions[0].ID
	for _, query := range []string{"file_name=monday.csv", "file_name=other.csv", "file_name=x.csv&session_id=" + url.QueryEscape(run)} {
		if a := post(query, []byte(text), ""); a.Inserted != 0 || a.Already != 100 || a.Sessions[0].ID != run {
			t.Errorf("%s: %+v", query, a)
		}
	}
	if a := post("file_name=monday.csv", zst(text), "zstd"); a.Already != 100 {
		t.Errorf("zstd: %+v", a)
	}
	for _, query := range []string{"file_name=monday.csv&timezone=Europe/Berlin", "file_name=x.csv&map=voltage_v%3Dmotor_rpm&session_id=" + url.QueryEscape(run)} {
		before := h.rows()
		a := post(query, []byte(text), "")
		if a.Inserted+a.Already != 0 || len(a.Sessions) != 1 || a.Sessions[0].ID != run || len(a.Notes) != 1 || !strings.Contains(a.Notes[0], "this content is in run") || !strings.Contains(a.Notes[0], "again=true") || h.rows() != before {
			t.Errorf("%s: %+v", query, a)
		}
	}
	if a := post("file_name=monday.csv&dry_run=true", []byte(text), ""); len(a.Notes) != 1 || !strings.Contains(a.Notes[0], "this content is in run") {
		t.Errorf("a dry run: %+v", a)
	}
	if a := post("file_name=monday.csv&timezone=Europe/Berlin&again=true", []byte(text), ""); a.Inserted != 100 {
		t.Errorf("again: %+v", a)
	}
	cut := gz(text)
	if a := h.send(request{path: telemetryPath + "?file_name=cut.csv", body: cut[:len(cut)-30], header: map[string]string{"Content-Type": asCSV, "Content-Encoding": "gzip"}}); a.status != 400 {
		t.Errorf("cut short: %v", a)
	}
	checkConsistent(t, h.pool)
}

// A file that has grown is the same drive: it is refused, and what is new goes into
// the run by its id.
func TestImportOfAGrowingFile(t *testing.T) {
	t.Parallel()
	c := newCLI(t)
	c.imports(100, 0, "", c.file("log.csv", []byte(drive(100))))
	var run string
	if err := c.pool.QueryRow(t.Context(), "SELECT id FROM sessions").Scan(&run); err != nil {
		t.Fatal(err)
	}
	grown := c.file("log.csv", []byte(drive(120)))
	says := []string{fmt.Sprintf("100 of the 100 records in run %q", run), "--session-id " + run + " --skip-existing", "--again"}
	c.refused(says, grown)
	c.refused(says, "--skip-existing", grown)
	c.refused([]string{"100 of the 100 records", "--skip-existing"}, "--session-id", run, grown)
	c.imports(20, 100, "", "--session-id", run, "--skip-existing", grown)
	c.imports(0, 120, "", grown)
	c.refused([]string{"this content is in run"}, "--timezone", "Europe/Berlin", grown)
	c.refused([]string{fmt.Sprintf("60 of the 60 instants have records in run %q", run)}, c.file("part.csv", []byte(drive(60))))
	c.imports(60, 0, "", "--again", c.file("part.csv", []byte(drive(60))))
	checkConsistent(t, c.pool)
}

// Any file is one run, whichever way it comes and however it is packed, and none
// that is cut short.
func TestAFileByAnyWay(t *testing.T) {
	t.Parallel()
	h, c := newServer(t, nil), newCLI(t)
	for seed := range uint64(3) {
		random := rand.New(rand.NewPCG(seed, 11))
		sep := []string{",", ";", "\t"}[random.IntN(3)]
		lines := []string{strings.Join([]string{"timestamp", "speed_ms", "Ölstand"}, sep)}
		n := 1 + random.IntN(300)
		for i := range n {
			lines = append(lines, fmt.Sprintf("2026-0%d-21 10:%02d:%02d%s%d%s%d", 1+seed, i/60, i%60, sep, random.IntN(20), sep, random.IntN(9)))
		}
		text := strings.Join(lines, "\n")
		if seed == 1 {
			var err error
			if text, err = unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().String(text); err != nil {
				t.Fatal(err)
			}
		}
		upload := func(name, encoding string, body []byte) answer {
			header := map[string]string{"Content-Type": asCSV}
			if encoding != "" {
				header["Content-Encoding"] = encoding
			}
			return h.send(request{path: telemetryPath + "?file_name=" + name, body: body, header: header})
		}
		var ways []func(stored, before int)
		for encoding, body := range map[string][]byte{"": []byte(text), "gzip": gz(text), "zstd": zst(text)} {
			name := fmt.Sprintf("%d%s.csv", random.IntN(2), encoding)
			ways = append(ways, func(stored, before int) { c.imports(stored, before, "", c.file(name, body)) },
				func(stored, before int) {
					if a := upload(name, encoding, body); !strings.Contains(string(a.body), fmt.Sprintf(`"inserted":%d,"already_stored":%d,`, stored, before)) {
						t.Errorf("%s, stored %d, before %d: %v", name, stored, before, a)
					}
				})
		}
		random.Shuffle(len(ways), func(i, j int) { ways[i], ways[j] = ways[j], ways[i] })
		ways[0](n, 0)
		for _, way := range ways[1:] {
			way(0, n)
		}
		cut := gz(text)
		cut = cut[:len(cut)-1-random.IntN(len(cut)/2)]
		c.refused([]string{"EOF"}, c.file("cut.csv.gz", cut))
		for name, body := range map[string][]byte{"cut.csv": cut, "plain.csv": []byte(text)} {
			if a := upload(name, "gzip", body); a.status != 400 {
				t.Errorf("%s as gzip: %v", name, a)
			}
		}
	}
	checkConsistent(t, c.pool)
}

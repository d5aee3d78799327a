package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// exported is a session's records as the export command gives them.
func (c *cli) exported(session string) (records []rec) {
	c.t.Helper()
	c.must("", "export", "--output", "all.ndjson", session)
	text, err := os.ReadFile(filepath.Join(c.dir, "all.ndjson"))
	if err != nil {
		c.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var r rec
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			c.t.Fatal(err)
		}
		records = append(records, r)
	}
	return records
}

var importedAs = regexp.MustCompile(`session (\S+): (\d+) stored`)

// Small files that each stand for a kind go in, or are refused with the name of
// the option that they need.
func TestFilesOfLoggers(t *testing.T) {
	t.Parallel()
	c := newCLI(t)
	for _, test := range []struct {
		file    string
		options []string
		refused string // what the refusal names
		count   string
		says    []string // of the output
		first   rec      // members of the first record
		last    rec
	}{
		{file: "01-unit-in-header.csv", count: "10", says: []string{"km/h to m/s", "mV to V"},
			first: rec{"speed_ms": 8.33333333333333, "voltage_v": 48.0, "current_a": 9.0, "energy_j": 43200.0, "distance_m": 1500.0}, last: rec{"speed_ms": 10.8333333333333}},
		{file: "06-blank-first-line.csv", count: "2", first: rec{"session_id": "in06"}},
		{file: "10a-semicolon.csv", count: "4", first: rec{"speed_ms": 5.0, "voltage_v": 47.5, "timestamp": "2026-06-03T10:00:00.000Z"}, last: rec{"speed_ms": 5.75, "voltage_v": 47.47}},
		{file: "10c-tab.csv", count: "4", last: rec{"speed_ms": 5.75, "voltage_v": 47.47}},
		{file: "10d-utf16.csv", count: "4", last: rec{"speed_ms": 5.75, "voltage_v": 47.47}},
		{file: "10f-units-row.csv", count: "4", first: rec{"speed_ms": 5.0, "timestamp": "2026-06-03T10:00:00.000Z"}, last: rec{"speed_ms": 5.75, "voltage_v": 47.47}},
		{file: "10g-preamble.csv", count: "4", last: rec{"speed_ms": 5.75, "voltage_v": 47.47}},
		{file: "10k-epoch-seconds.csv", count: "3", first: rec{"timestamp": "2026-06-03T10:00:00+00:00"}, last: rec{"timestamp": "2026-06-03T10:00:00.400000+00:00"}},
		{file: "10m-day-first.csv", refused: "--day-first"},
		{file: "10m-day-first.csv", options: []string{"--day-first"}, count: "2", first: rec{"timestamp": "2026-06-03T10:00:00+00:00"}, last: rec{"timestamp": "2026-06-03T10:00:00.200000+00:00"}},
		{file: "10o-seconds-since-start.csv", refused: "--start"},
		{file: "10o-seconds-since-start.csv", options: []string{"--start", "2026-06-03T10:00:00Z"}, count: "2",
			says:  []string{`column "Speed": becomes speed_ms`, `column "Volts": becomes voltage_v`, `column "Amps": becomes current_a`, `column "RPM": becomes motor_rpm`, "another unit?"},
			first: rec{"timestamp": "2026-06-03T10:00:01.010000+00:00", "speed_ms": 24.5, "voltage_v": 45.4, "current_a": 7.9, "motor_rpm": 513.0}},
		{file: "12-hex-id-column.csv", count: "2", first: rec{"can_id": "18E5", "serial": "241408E4"}, last: rec{"can_id": "1F2A", "serial": "0012"}},
		{file: "13-own-column-names.csv", count: "60", says: []string{`column "Battery Voltage": no known channel`, `column "Wheel RPM": no known channel`, `column "GPS Speed"`},
			first: rec{"Battery Voltage": 47.5, "Wheel RPM": 300.0}},
	} {
		path := filepath.Join("testdata", "cases", test.file)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		path = c.file(test.file, text)
		out, errs, code := c.run("", append(append([]string{"import", "--quiet"}, test.options...), path)...)
		if test.refused != "" {
			if code != 1 || !strings.Contains(errs, test.refused) {
				t.Errorf("%s: exit code %d, want a refusal that names %s\n%s%s", test.file, code, test.refused, out, errs)
			}
			continue
		}
		session := importedAs.FindStringSubmatch(out)
		if code != 0 || session == nil || session[2] != test.count {
			t.Errorf("%s: exit code %d, want %s records\n%s%s", test.file, code, test.count, out, errs)
			continue
		}
		for _, want := range test.says {
			if !strings.Contains(out, want) {
				t.Errorf("%s: the output lacks %q\n%s", test.file, want, out)
			}
		}
		records := c.exported(session[1])
		for i, want := range []rec{test.first, test.last} {
			got := records[i*(len(records)-1)]
			for name, value := range want {
				if got[name] != value {
					t.Errorf("%s: %s is %v, want %v", test.file, name, got[name], value)
				}
			}
		}
	}
	checkConsistent(t, c.pool)
}

// What was said of one file is found again by the header of the next one.
func TestSavedProfile(t *testing.T) {
	t.Parallel()
	c := newCLI(t)
	const head = "Zeit;Battery Voltage;Tempo\n"
	first := c.file("monday.csv", []byte(head+"03.06.2026 10:00:00;47,5;36\n"))
	second := c.file("tuesday.csv", []byte(head+"04.06.2026 10:00:00;47,4;18\n"))
	if _, errs, code := c.run("", "import", "--quiet", second); code != 1 || !strings.Contains(errs, "--day-first") {
		t.Errorf("without a profile: %d, %s", code, errs)
	}
	c.imports(1, 0, "", "--day-first", "--timezone", "Europe/Berlin", "--map", "Battery Voltage=voltage_v", "--map", "Tempo=speed_ms [km/h]", "--save-profile", "our logger", first)
	out := c.must("", "import", "--dry-run", second)
	if !strings.Contains(out, "our logger") || !strings.Contains(out, "km/h to m/s") || !strings.Contains(out, "2026-06-04T08:00:00+00:00") {
		t.Errorf("the profile is not found by the header:\n%s", out)
	}
	out = c.must("", "import", "--quiet", second)
	got := c.exported(importedAs.FindStringSubmatch(out)[1])
	if len(got) != 1 || got[0]["voltage_v"] != 47.4 || got[0]["speed_ms"] != 5.0 || got[0]["timestamp"] != "2026-06-04T08:00:00+00:00" {
		t.Errorf("with the profile: %v", got)
	}
	if _, errs, code := c.run("", "import", "--quiet", "--profile", "theirs", second); code != 1 || !strings.Contains(errs, "our logger") {
		t.Errorf("an unknown profile: %d, %s", code, errs)
	}
}

// The endpoint takes the same files with the same options, and shows first what
// becomes of them.
func TestUploadsOfLoggers(t *testing.T) {
	t.Parallel()
	h := newServer(t, nil)
	post := func(query, file string) answer {
		text, err := os.ReadFile(filepath.Join("testdata", "cases", file))
		if err != nil {
			t.Fatal(err)
		}
		return h.send(request{path: telemetryPath + "?" + query, body: text, header: map[string]string{"Content-Type": asCSV}})
	}
	before := h.rows()
	a := post("dry_run=true", "13-own-column-names.csv")
	var shown struct {
		Inserted int
		Table    struct {
			Records int
			Columns []struct {
				Column, Becomes, First, Last string
				Channel                      bool
				Filled                       float64
				Min, Max                     *float64
				Warnings                     []string
			}
		}
	}
	if err := json.Unmarshal(a.body, &shown); err != nil || a.status != 200 || shown.Table.Records != 60 || len(shown.Table.Columns) != 4 {
		t.Fatalf("preview: %v", a)
	}
	if c := shown.Table.Columns[1]; c.Column != "Battery Voltage" || c.Becomes != "Battery Voltage" || c.Channel || c.Filled != 1 || c.First != "47.50" || c.Last != "46.91" || *c.Min != 46.91 || *c.Max != 47.5 || len(c.Warnings) == 0 {
		t.Errorf("preview of a column: %+v", c)
	}
	if got := h.rows(); got != before {
		t.Errorf("a preview left %s, had %s", got, before)
	}
	for _, test := range []struct{ query, file, field string }{
		{"file_name=a.csv", "10m-day-first.csv", "day_first"},
		{"file_name=a.csv", "10o-seconds-since-start.csv", "start"},
		{"", "10a-semicolon.csv", "session_id"},
		{"file_name=a.csv&map=Volt%3Dvoltage_v", "10a-semicolon.csv", "map"},
		{"file_name=a.csv&profile=none", "10a-semicolon.csv", "profile"},
		{"file_name=a.csv&timezone=Nowhere", "10a-semicolon.csv", "timezone"},
		{"file_name=a.csv&time_column=when", "10a-semicolon.csv", "time_column"},
	} {
		a := post(test.query, test.file)
		if p := a.problem(t); a.status != 400 || len(p.Problems) != 1 || p.Problems[0].Field != test.field {
			t.Errorf("%s?%s: %v, want 400 for %s", test.file, test.query, a, test.field)
		}
	}
	a = post("file_name=Morning+run.csv&day_first=true&timezone=Europe/Berlin&save_profile=dots", "10m-day-first.csv")
	var stored struct {
		Inserted int
		Notes    []string
		Sessions []struct {
			ID string `json:"session_id"`
		}
	}
	if err := json.Unmarshal(a.body, &stored); err != nil || a.status != 200 || stored.Inserted != 2 || len(stored.Sessions) != 1 || !regexp.MustCompile(`^csv-morning-run-[0-9a-f]{12}$`).MatchString(stored.Sessions[0].ID) {
		t.Fatalf("an upload: %v", a)
	}
	a = h.send(request{method: "GET", path: "/api/v1/sessions/" + stored.Sessions[0].ID})
	if !strings.Contains(string(a.body), `"Morning run"`) || !strings.Contains(string(a.body), "2026-06-03T08:00:00+00:00") {
		t.Errorf("the run of the file: %v", a)
	}
	if a = post("file_name=b.csv", "10m-day-first.csv"); a.status != 200 {
		t.Errorf("a file with a header that a profile knows: %v", a)
	}
	if a = h.send(request{method: "GET", path: "/api/v1/import-profiles"}); a.status != 200 || !strings.Contains(string(a.body), `"name":"dots"`) {
		t.Errorf("profiles: %v", a)
	}
	for _, want := range []int{204, 404} {
		if a = h.send(request{method: "DELETE", path: "/api/v1/import-profiles/dots"}); a.status != want {
			t.Errorf("delete a profile: %v, want %d", a, want)
		}
	}
	checkConsistent(t, h.pool)
}

package doctor

import (
	"strings"
	"testing"
	"time"
)

func TestVersionAtLeast(t *testing.T) {
	t.Parallel()
	tests := []struct {
		version, minimum string
		want             bool
	}{
		{"2.14.0", "2.14", true},
		{"2.14", "2.14", true},
		{"2.9.3", "2.14", false},
		{"2.13.9", "2.14", false},
		{"3.0", "2.14", true},
		{"2.15.0-dev", "2.14", true},
		{"2", "2.14", false},
		{"", "2.14", false},
	}
	for _, test := range tests {
		if got := versionAtLeast(test.version, test.minimum); got != test.want {
			t.Errorf("versionAtLeast(%q, %q) = %v", test.version, test.minimum, got)
		}
	}
}

// good is a server as it should be.
func good() facts {
	return facts{
		versionNumber: 170005, versionText: "17.5", database: "telemetryd", user: "telemetryd",
		extension: "2.29.2", available: "2.29.2", preloaded: "timescaledb", license: "timescale",
		serverEncoding: "UTF8", mayCreate: true, mayCreatePublic: true, mayCreateRole: true,
		fsync: "on", synchronousCommit: "on", checksums: true, quiet: true, workerProcesses: 40, timescaleWorkers: "24",
		clockError: time.Millisecond, migrationKnown: true, migration: 7,
	}
}

func TestFindings(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*facts)
		look   func(facts) Finding
		level  Level
		says   string
	}{
		"good server":          {func(f *facts) {}, facts.postgres, Fine, "17.5"},
		"old server":           {func(f *facts) { f.versionNumber, f.versionText = 140011, "14.11" }, facts.postgres, Problem, "too old"},
		"good extension":       {func(f *facts) {}, facts.timescale, Fine, "2.29.2"},
		"old extension":        {func(f *facts) { f.extension = "2.13.1" }, facts.timescale, Problem, "too old"},
		"old available":        {func(f *facts) { f.extension, f.available = "", "2.9.0" }, facts.timescale, Problem, "too old"},
		"extension missing":    {func(f *facts) { f.extension, f.available = "", "" }, facts.timescale, Problem, "not installed"},
		"not preloaded":        {func(f *facts) { f.extension, f.preloaded = "", "pg_stat_statements" }, facts.timescale, Problem, "does not load it"},
		"nothing preloaded":    {func(f *facts) { f.extension, f.preloaded, f.superuser = "", "", true }, facts.timescale, Problem, "does not load it"},
		"preload not readable": {func(f *facts) { f.extension, f.preloaded = "", "" }, facts.timescale, Fine, "not yet created"},
		"may not create it":    {func(f *facts) { f.extension, f.mayCreate = "", false }, facts.timescale, Problem, "may not create"},
		"update waiting":       {func(f *facts) { f.available = "2.30.0" }, facts.timescale, Warning, "2.30.0"},
		"nothing was mended":   {func(f *facts) {}, facts.mends, Fine, ""},
		"not created yet":      {func(f *facts) { f.extension = "" }, facts.mends, Fine, ""},
		"columnstore mended":   {func(f *facts) { f.extension = "2.29.1" }, facts.mends, Warning, "IS NULL"},
		"Apache has none":      {func(f *facts) { f.extension, f.license = "2.28.0", "apache" }, facts.mends, Fine, ""},
		"Apache has dates":     {func(f *facts) { f.extension, f.license = "2.27.9", "apache" }, facts.mends, Warning, "a date compared with a time (2.28.0)"},
		"checksums off":        {func(f *facts) { f.checksums = false }, facts.checksummed, Warning, "failing disk"},
		"noisy refreshes":      {func(f *facts) { f.quiet = false }, facts.serverLog, Warning, "300 MB"},
		"noise of no refresh":  {func(f *facts) { f.quiet, f.license = false, "apache" }, facts.serverLog, Fine, ""},
		"apache":               {func(f *facts) { f.license = "apache" }, facts.edition, Warning, "Apache"},
		"encoding":             {func(f *facts) { f.serverEncoding = "LATIN1" }, facts.encoding, Problem, "LATIN1"},
		"standby":              {func(f *facts) { f.inRecovery = true }, facts.writable, Problem, "standby"},
		"read only":            {func(f *facts) { f.readOnly = true }, facts.writable, Problem, "read_only"},
		"no tables":            {func(f *facts) { f.mayCreatePublic, f.migrationKnown = false, false }, facts.permissions, Problem, "may not create tables"},
		"no schemas":           {func(f *facts) { f.mayCreate = false }, facts.permissions, Warning, "schemas"},
		"no roles":             {func(f *facts) { f.mayCreateRole = false }, facts.permissions, Warning, "roles"},
		"fsync off":            {func(f *facts) { f.fsync = "off" }, facts.durability, Warning, "power cut"},
		"few workers":          {func(f *facts) { f.workerProcesses = 8 }, facts.workers, Warning, "8"},
		"clocks agree":         {func(f *facts) { f.clockAhead = time.Millisecond }, facts.clock, Fine, "agree"},
		"clock ahead":          {func(f *facts) { f.clockAhead = time.Minute }, facts.clock, Warning, "1m0s ahead"},
		"clock behind":         {func(f *facts) { f.clockAhead = -time.Minute }, facts.clock, Warning, "1m0s behind"},
		"clock a bit off":      {func(f *facts) { f.clockAhead = time.Second }, facts.clock, Fine, "1s ahead"},
		"failed migration":     {func(f *facts) { f.dirty = true }, facts.migrations, Problem, "half-way"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := good()
			test.change(&f)
			got := test.look(f)
			if got.Level != test.level || !strings.Contains(got.Found, test.says) {
				t.Errorf("%v: %s, want %v with %q", got.Level, got.Found, test.level, test.says)
			}
			if (got.Level != Fine) != (got.Advice != "") {
				t.Errorf("%v with advice %q", got.Level, got.Advice)
			}
		})
	}
}

func TestBytes(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1500: "1.5 kB", 12_300_000_000: "12.3 GB", 1 << 62: "4.6 EB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %s, want %s", n, got, want)
		}
	}
}

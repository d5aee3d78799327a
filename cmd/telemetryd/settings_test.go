package main

import (
	"fmt"
	"testing"
	"time"
)

// TestDurationsHaveDays reads them from flags and variables.
func TestDurationsHaveDays(t *testing.T) {
	t.Setenv("TELEMETRYD_KEEP_ROLLUPS", "1d12h")
	var c cli
	if _, err := newParser(&c).Parse([]string{"migrate", "--keep-records", "30d", "--columnstore-after=90m"}); err != nil {
		t.Fatal(err)
	}
	if m := c.Migrate; m.KeepRecords != 720*time.Hour || m.KeepRollups != 36*time.Hour || m.ColumnstoreAfter != 90*time.Minute || m.RefreshEvery != 0 {
		t.Errorf("%+v", m)
	}
	for _, wrong := range []string{"30", "d", "30 days", "1h2d", "-3d"} {
		if _, err := newParser(new(cli)).Parse([]string{"migrate", "--keep-records=" + wrong}); err == nil {
			t.Errorf("%q is taken for a duration", wrong)
		}
	}
}

func TestMisspeltVariablesAreFound(t *testing.T) {
	t.Parallel()
	got := unknownVariables([]string{
		"TELEMETRYD_LISTN=:80", "TELEMETRYD_DATABASE_URL=x", "TELEMETRYD_DATABASEURL", "TELEMETRYD_PG_BINDIR=/bin", "TELEMETRYD_DB_PORT=1", "HOME=/",
		"TELEMETRYD_LOG_LEVEL=warn",
	})
	want := []unknownVariable{{"TELEMETRYD_LISTN", "TELEMETRYD_LISTEN"}, {"TELEMETRYD_DATABASEURL", "TELEMETRYD_DATABASE_URL"}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", got, want)
	}
}

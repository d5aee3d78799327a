package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
)

// What was set aside is not stored, and is told by the file's line.
func TestReportOfAnImport(t *testing.T) {
	t.Parallel()
	index := 0
	var out bytes.Buffer
	report(&out, "a.csv", ingest.Result{
		Inserted: 5, SetAside: 2, Rejected: 1,
		Sessions: []ingest.SessionResult{{ID: "a", Inserted: 5, SetAside: 2}},
		Odd:      []fault.Problem{{Index: &index, Line: 4, Field: "timestamp", Reason: "is no time"}},
	}, time.Second)
	for _, want := range []string{"stored 3 records, 0 were stored before, set aside 2, left out 1 bad ones", "session a: 3 stored, 0 before, 2 set aside", "set aside: line 4, field timestamp: is no time"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("printed without %q:\n%s", want, out.String())
		}
	}
}

func TestDryRun(t *testing.T) {
	t.Parallel()
	const table = "timestamp,speed_ms\n2026-06-03T10:00:00Z,1\n1980-01-06T00:00:00Z,2\n2026-06-03T10:00:01Z,3\n"
	decoder := decode.New(strings.NewReader(table), decode.Options{Format: decode.FormatCSV, SessionID: "a"})
	var out bytes.Buffer
	if err := check(t.Context(), &out, "a.csv", decoder, ingest.Options{File: true}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"3 good records, 0 bad ones; nothing was stored", "1 of the good ones would be set aside", "set aside: line 3, field timestamp: \"1980-01-06T00:00:00Z\" is before 2000-01-02"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("printed without %q:\n%s", want, out.String())
		}
	}
}

// A duration that goes back needs no equals sign, and a person is told of options.
func TestFlags(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"repair", "a", "--shift", "-90s"}, {"repair", "a", "--shift=-90s"}, {"repair", "--shift", "-90s", "a"},
		{"merge", "a", "b.csv", "--offset", "-90s"}, {"merge", "--offset=-90s", "a", "b.csv"},
	} {
		var c cli
		if _, err := newParser(&c).Parse(args); err != nil || c.Repair.Shift+c.Merge.Offset != "-90s" {
			t.Errorf("%v: shift %q, offset %q, %v", args, c.Repair.Shift, c.Merge.Offset, err)
		}
	}
	var c cli
	if _, err := newParser(&c).Parse([]string{"repair", "a", "--shift"}); err == nil {
		t.Error("a shift without a value is taken")
	}
	var out bytes.Buffer
	describe(&out, "a.csv", fault.Field("day_first", "say"))
	if got := out.String(); !strings.Contains(got, "--day-first: say") {
		t.Errorf("printed %q", got)
	}
}

package main

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/ecovolt/telemetryd/internal/database"
	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/doctor"
)

func TestDoctorPassesAGoodDatabase(t *testing.T) {
	t.Parallel()
	d := doctorCmd{Flags: database.Flags{DatabaseURL: dbtest.URL(t)}}
	if err := d.Run(t.Context(), slog.New(slog.DiscardHandler)); err != nil {
		t.Error(err)
	}
}

func TestDoctorFailsWithoutADatabase(t *testing.T) {
	t.Parallel()
	d := doctorCmd{Flags: database.Flags{DatabaseURL: "postgres://nobody@127.0.0.1:1/nothing"}}
	if err := d.Run(t.Context(), slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a database that is not there was found good")
	}
}

func TestDoctorPrints(t *testing.T) {
	t.Parallel()
	findings := []doctor.Finding{
		{Subject: "PostgreSQL", Found: "17.5"},
		{Level: doctor.Problem, Subject: "TimescaleDB", Found: "it is not installed", Advice: "Install it"},
	}
	var text strings.Builder
	if err := (doctorCmd{}).print(&text, findings); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ok       PostgreSQL   17.5\n", "problem  TimescaleDB", "-> Install it.\n"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in:\n%s", want, &text)
		}
	}
	var machine strings.Builder
	if err := (doctorCmd{JSON: true}).print(&machine, findings); err != nil {
		t.Fatal(err)
	}
	var back []map[string]string
	if err := json.Unmarshal([]byte(machine.String()), &back); err != nil {
		t.Fatal(err)
	}
	if back[1]["level"] != "problem" || back[1]["advice"] != "Install it" {
		t.Errorf("JSON %v", back)
	}
}

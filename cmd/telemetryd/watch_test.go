package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/ecovolt/telemetryd/realtime/live/protocol"
)

func TestWatchLines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := &screen{out: &out, session: "a", fields: []string{"speed_ms", "motion_state", "absent"}}
	message := protocol.ServerMessage{Type: "records", Records: []json.RawMessage{
		json.RawMessage(`{"timestamp":"2026-03-21T21:41:10+00:00","speed_ms":7.25,"motion_state":"cruising"}`),
	}}
	if err := s.message(message); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), "2026-03-21T21:41:10+00:00 speed_ms=7.25 motion_state=cruising\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
	out.Reset()
	s.json = true
	if err := s.message(message); err != nil {
		t.Fatal(err)
	}
	if got, want := out.String(), string(message.Records[0])+"\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}

// What a vehicle or an operator wrote cannot steer the terminal.
func TestWatchPanel(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := &screen{out: &out, session: "a\x1b[2J", fields: []string{"speed_ms", "driver_mode"}, redraw: true}
	for _, m := range []protocol.ServerMessage{
		{Type: "subscribed", Name: "evil\x1b]0;title\x07\u009b"},
		{Type: "records", Records: []json.RawMessage{json.RawMessage(`{"timestamp":"x","speed_ms":1,"driver_mode":"e\u001b[31mco"}`)}},
		{Type: "status", Database: "away"},
		{Type: "records", Records: []json.RawMessage{json.RawMessage(`{"timestamp":"x","speed_ms":2}`)}},
	} {
		if err := s.message(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.draw(true); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for _, bad := range []string{"\x1b[2J", "\x1b]0", "\x1b[31m", "\u009b"} {
		if strings.Contains(text, bad) {
			t.Errorf("printed %q", bad)
		}
	}
	for _, want := range []string{"▁█", "m/s", "database is away"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the panel", want)
		}
	}
}

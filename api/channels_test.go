package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/api"
	"github.com/ecovolt/telemetryd/auth"
)

// A sensor that was never seen can be picked, drawn and exported once its first
// record came, by whatever it is called, and administrators say what it is.
func TestNewSensorOverREST(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	admin, bridge := s.as(t, auth.Admin), "Convex ingest|key:1"
	start := time.Now().UTC().Add(-time.Minute).Truncate(time.Second)
	var lines strings.Builder
	for i := range 60 {
		fmt.Fprintf(&lines, `{"session_id":"run","timestamp":%q,"speed_ms":5,"battery_temp_c":%d.5,"Tyre FL":%d,"pump":"on"}`+"\n", start.Add(time.Duration(i)*time.Second).Format(time.RFC3339), 20+i, i)
	}
	if got := s.call(t, "POST", "/api/v1/telemetry", bridge, lines.String(), "Content-Type", "application/x-ndjson"); got.status != 200 {
		t.Fatalf("upload = %+v", got)
	}
	if got := s.call(t, "GET", "/api/v1/sessions/run/series?metrics=battery_temp_c", admin, nil); got.status != 400 {
		t.Errorf("before anybody looked: %+v", got)
	}
	if _, err := s.store.Rollups.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := s.call(t, "GET", "/api/v1/sessions/run/channels", admin, nil)
	found := map[string]object{}
	for _, c := range got.body["channels"].([]any) {
		found[c.(object)["name"].(string)] = c.(object)
	}
	if c := found["battery_temp_c"]; c["kind"] != "seen" || c["unit"] != "degC" || c["records"] != 60.0 || c["min"] != 20.5 || c["max"] != 79.5 || c["first"] != start.Format(time.RFC3339) {
		t.Errorf("battery_temp_c is %v", c)
	}
	if c := found["tyre_fl"]; c["member"] != "Tyre FL" || c["unit"] != nil || c["charted"] != true {
		t.Errorf("tyre_fl is %v", c)
	}
	series := s.call(t, "GET", "/api/v1/sessions/run/series?metrics=battery_temp_c,tyre_fl,speed_ms,pump&points=10", admin, nil)
	if series.status != 200 || !strings.Contains(fmt.Sprint(series.body), "79.5") {
		t.Errorf("series = %+v", series)
	}
	text, _ := s.text(t, "/api/v1/sessions/run/records?format=csv&limit=2&fields=tyre_fl,battery_temp_c,speed_ms,pump", admin)
	want := "session_id,timestamp,speed_ms,Tyre FL,battery_temp_c,pump\nrun," + start.Format(time.RFC3339) + ",5.0,0,20.5,on\n"
	if !strings.HasPrefix(text, want) {
		t.Errorf("records as CSV: %q; want %q", text, want)
	}

	for path, c := range map[string]struct {
		body   string
		status int
	}{
		"battery_temp_c": {`{"unit":"\"C\"","meaning":"Hottest cell","aliases":["batt"],"warn_high":45,"alarm_high":55}`, 200},
		"speed_ms":       {`{"aliases":["tempo"]}`, 200},
		"cells_v":        {`{"type":"number","unit":"V"}`, 200},
		"session_id":     {`{}`, 409},
		"tyre_fl":        {`{"type":"text"}`, 409},
		"voltage_v":      {`{"unit":"mV"}`, 409},
		"Bad Name":       {`{}`, 400},
		"x":              {`{"colour":"red"}`, 400},
		"y":              {`{"colours":"red"}`, 400},
		"power_w":        {`{"expression":"battery_temp_c"}`, 409},
		"pack_w":         {`{"expression":"speed_ms * battery_temp_c","unit":"W"}`, 200},
		"z":              {`{"expression":"speed_ms * nothing"}`, 400},
	} {
		if got := s.call(t, "PUT", "/api/v1/channels/"+strings.ReplaceAll(path, " ", "%20"), admin, c.body); got.status != c.status {
			t.Errorf("PUT %s %s = %+v, want %d", path, c.body, got, c.status)
		}
	}
	if got := s.call(t, "PUT", "/api/v1/channels/x", admin, `{"decimals":1.5}`); got.status != 400 || got.body["problems"].([]any)[0].(object)["field"] != "decimals" {
		t.Errorf("decimals that are none: %+v", got)
	}
	internal := s.as(t, auth.Internal)
	for body, status := range map[string]int{`{"expression":"battery_temp_c / 2"}`: 200, `{"expression":"0.5 * battery_temp_c"}`: 200, `{"unit":"W"}`: 403, `{"expression":"battery_temp_c / 2","hidden":true}`: 403} {
		if got := s.call(t, "PUT", "/api/v1/channels/half", internal, body); got.status != status {
			t.Errorf("an internal account: PUT %s = %+v, want %d", body, got, status)
		}
	}
	if got := s.call(t, "PUT", "/api/v1/channels/pack_w", internal, `{"expression":"0"}`); got.status != 403 {
		t.Errorf("an internal account changes what an administrator made: %+v", got)
	}
	half := s.call(t, "GET", "/api/v1/sessions/run/records?limit=1&fields=half,pack_w", admin, nil)
	if first := half.body["records"].([]any)[0].(object); first["half"] != 10.25 || first["pack_w"] != 102.5 {
		t.Errorf("records have %v", first)
	}
	got = s.call(t, "GET", "/api/v1/sessions/run/series?metrics=batt,cells_v,tempo", admin, nil)
	for name, want := range map[string]object{"battery_temp_c": {"unit": `"C"`, "step": 1.0}, "cells_v": {"unit": "V", "step": 0.0}, "speed_ms": {"unit": "m/s", "step": 1.0}} {
		metric := got.body["sessions"].([]any)[0].(object)["metrics"].(object)[name].(object)
		if metric["unit"] != want["unit"] || metric["step"] != want["step"] {
			t.Errorf("by aliases, and what has not come: %s is %v, want %v", name, metric, want)
		}
	}
	if got := s.call(t, "GET", "/api/v1/sessions/run/series?metrics=speed_ms,tempo", admin, nil); got.status != 400 {
		t.Errorf("one channel by two names: %+v", got)
	}
	tempo := s.call(t, "GET", "/api/v1/sessions/run/records?limit=1&fields=tempo,half,half", admin, nil)
	if first := tempo.body["records"].([]any)[0].(object); first["speed_ms"] != 5.0 {
		t.Errorf("records by an alias have %v", first)
	}
	if got := s.call(t, "DELETE", "/api/v1/channels/tyre_fl", admin, nil); got.status != 204 {
		t.Errorf("hiding = %+v", got)
	}
	list := s.call(t, "GET", "/api/v1/channels", "", nil)
	hidden := false
	for _, c := range list.body["channels"].([]any) {
		hidden = hidden || c.(object)["name"] == "tyre_fl" && c.(object)["hidden"] == true
	}
	if !hidden {
		t.Error("the hidden channel is not listed as hidden")
	}
	audit := s.call(t, "GET", "/api/v1/audit?event=channel_changed", admin, nil)
	if !strings.Contains(fmt.Sprint(audit.body), "battery_temp_c") {
		t.Errorf("audit = %+v", audit)
	}
}

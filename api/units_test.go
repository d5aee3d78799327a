package api_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/api"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/request"
	"github.com/ecovolt/telemetryd/timeseries/channel"
)

// text is an answer as it is sent.
func (s site) text(t *testing.T, path, who string) (body string, header http.Header) {
	t.Helper()
	status, header, text := request.Send(t, "GET", s.url+path, "", "Authorization", who)
	if status != 200 {
		t.Fatalf("%s: %d %.300s", path, status, text)
	}
	return text, header
}

func near(t *testing.T, what string, got any, want float64) {
	t.Helper()
	v, ok := got.(float64)
	if !ok || math.Abs(v-want) > 1e-9*math.Max(1, math.Abs(want)) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// In which units somebody likes to see values is kept with the account, and holds in
// every answer that it asks for in them; whoever does not ask gets what is stored.
func TestUnitsOfAnAccount(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	admin, guest := s.as(t, auth.Admin), ""
	start := time.Date(2026, 3, 21, 10, 0, 0, 0, time.UTC)
	var lines strings.Builder
	for i := range 60 {
		fmt.Fprintf(&lines, `{"session_id":"run","timestamp":%q,"speed_ms":%d,"energy_j":%d,"motor_temp_c":%d,"driver_mode":"eco","Oil Temp C":%d,"Tyre FL":%d.5,"on":true,"big_ms":1e308}`+"\n",
			start.Add(time.Duration(i)*time.Second).Format(time.RFC3339), i, 3600*i, 20+i, 90+i, i)
	}
	list, _, _ := driven{id: "circles", quick: []float64{1, 1.1}, power: []float64{1, 1}}.drive()
	for _, body := range []any{lines.String(), list} {
		if got := s.call(t, "POST", "/api/v1/telemetry", admin, body); got.status != 200 {
			t.Fatalf("upload = %+v", got)
		}
	}
	if _, err := s.store.Rollups.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"oil_temp_c": `{"unit":"degC","decimals":1,"warn_high":120,"alarm_high":130,"aliases":["oil"],"low":-40}`,
		"tyre_fl":    `{"unit":"psi"}`,
		"on":         `{"unit":"degC","hidden":true}`,
		"big_ms":     `{"unit":"m/s"}`,
		"twice":      `{"unit":"m/s","expression":"2 * speed_ms"}`,
	} {
		if got := s.call(t, "PUT", "/api/v1/channels/"+name, admin, body); got.status != 200 {
			t.Fatalf("%s: %+v", name, got)
		}
	}
	paths := []string{
		"/api/v1/channels?", "/api/v1/sessions/run/channels?", "/api/v1/sessions/run/latest?", "/api/v1/sessions/run/records?format=csv",
		"/api/v1/sessions/run/records?format=ndjson&fields=oil,twice,speed_ms,tyre_fl,on,driver_mode", "/api/v1/sessions/run/records?limit=2",
		"/api/v1/sessions/run/series?metrics=speed_ms,oil,twice,driver_mode,on,big_ms&points=10&mode=minmax",
		"/api/v1/sessions/run/series?metrics=speed_ms,energy_j&points=10&mode=m4", "/api/v1/compare?laps=circles:1,circles:2&metrics=speed_ms,power_w",
	}
	before := map[string]string{}
	for _, path := range paths {
		before[path], _ = s.text(t, path, admin)
	}
	prefer := func(system string) {
		t.Helper()
		if got := s.call(t, "PUT", "/api/v1/auth/preferences", admin, object{"units": system}); got.status != 200 || got.body["units"] != system {
			t.Fatalf("prefer %s: %+v", system, got)
		}
		if got := s.call(t, "GET", "/api/v1/auth/preferences", admin, nil); got.body["units"] != system {
			t.Fatalf("preferences = %+v", got)
		}
	}
	if got := s.call(t, "GET", "/api/v1/auth/preferences", admin, nil); got.body["units"] != "metric" {
		t.Errorf("an account prefers %v before it says anything", got.body)
	}
	for _, bad := range []string{`{"units":"imperial"}`, `{}`, `{"units":"si","more":1}`} {
		if got := s.call(t, "PUT", "/api/v1/auth/preferences", admin, bad); got.status != 400 {
			t.Errorf("prefer %s: %+v", bad, got)
		}
	}
	if got := s.call(t, "PUT", "/api/v1/auth/preferences", "Convex admin|key:1", `{"units":"si"}`); got.status != 401 {
		t.Errorf("a key prefers: %+v", got)
	}
	prefer("si")
	for _, path := range paths {
		if got, _ := s.text(t, path, admin); got != before[path] {
			t.Errorf("%s is not what it was: %.400s\nwas %.400s", path, got, before[path])
		}
		display, _ := s.text(t, path+"&units=display", admin)
		if si, _ := s.text(t, path+"&units=si", admin); display != si {
			t.Errorf("%s is in other units than the account's", path)
		}
		if display == before[path] && !strings.Contains(path, "m4") { // speed and energy are stored so
			t.Errorf("%s is not in the account's units: %.200s", path, display)
		}
	}
	if got := s.call(t, "GET", "/api/v1/units", guest, nil); got.body["units"] != "metric" || !strings.Contains(fmt.Sprint(got.body["conversions"]), "factor:3.6 offset:0 shown:km/h unit:m/s") {
		t.Errorf("units of a guest: %+v", got)
	}

	channels := map[string]object{}
	for _, c := range s.call(t, "GET", "/api/v1/sessions/run/channels?units=si", admin, nil).body["channels"].([]any) {
		channels[c.(object)["name"].(string)] = c.(object)
	}
	oil := channels["oil_temp_c"]
	near(t, "lowest", oil["min"], 363.15)
	near(t, "highest", oil["max"], 422.15)
	near(t, "warning", oil["warn_high"], 393.15)
	near(t, "expected", oil["low"], 233.15)
	conversion := oil["conversion"].(object)
	near(t, "offset", conversion["offset"], 273.15)
	if oil["unit"] != "K" || conversion["unit"] != "degC" || conversion["factor"] != 1.0 || oil["decimals"] != 1.0 || oil["member"] != "Oil Temp C" {
		t.Errorf("oil_temp_c is %v", oil)
	}
	if c := channels["driver_mode"]; c["conversion"] != nil || c["unit"] != nil {
		t.Errorf("a state is %v", c)
	}
	if c := channels["speed_ms"]; c["conversion"] != nil || c["unit"] != "m/s" || c["max"] != 59.0 {
		t.Errorf("speed_ms is %v", c)
	}

	series := func(query string) object {
		return s.call(t, "GET", "/api/v1/sessions/run/series?points=10&metrics="+query, admin, nil).body["sessions"].([]any)[0].(object)["metrics"].(object)
	}
	stored, shown := series("speed_ms,oil,twice,energy_j,driver_mode,big_ms"), series("speed_ms,oil,twice,energy_j,driver_mode,big_ms&units=metric")
	for name, to := range map[string]func(float64) float64{
		"speed_ms": func(v float64) float64 { return v * 3.6 }, "twice": func(v float64) float64 { return v * 3.6 },
		"energy_j": func(v float64) float64 { return v / 3600 }, "oil_temp_c": func(v float64) float64 { return v },
	} {
		for _, of := range []string{"min", "max", "avg"} {
			for i, v := range stored[name].(object)[of].([]any) {
				near(t, fmt.Sprintf("%s %s %d", of, name, i), shown[name].(object)[of].([]any)[i], to(v.(float64)))
			}
		}
		for _, same := range []string{"count", "gaps", "step"} {
			if fmt.Sprint(stored[name].(object)[same]) != fmt.Sprint(shown[name].(object)[same]) {
				t.Errorf("%s of %s changed", same, name)
			}
		}
	}
	if m := shown["speed_ms"].(object); m["unit"] != "km/h" {
		t.Errorf("speed is in %v", m["unit"])
	}
	if m := shown["big_ms"].(object); m["unit"] != "km/h" || m["max"].([]any)[0] != nil {
		t.Errorf("what no number of km/h is: %v", m)
	}

	records, _ := s.text(t, "/api/v1/sessions/run/records?limit=2&units=si", admin)
	var page struct{ Records []object }
	if err := json.Unmarshal([]byte(records), &page); err != nil {
		t.Fatal(err)
	}
	second := page.Records[1]
	near(t, "oil", second["Oil Temp C (K)"], 364.15)
	near(t, "motor", second["motor_temp_c (K)"], 294.15)
	near(t, "tyre", second["Tyre FL (kPa)"], 1.5*6.894757293168361)
	if second["Oil Temp C"] != nil || second["motor_temp_c"] != nil || second["speed_ms"] != 1.0 || second["on"] != true || second["driver_mode"] != "eco" {
		t.Errorf("a record is %v", second)
	}
	csv, _ := s.text(t, "/api/v1/sessions/run/records?format=csv&limit=2&fields=speed_ms,twice,oil,on,big_ms,driver_mode&units=metric", admin)
	if want := "session_id,timestamp,speed_ms (km/h),driver_mode,Oil Temp C,big_ms (km/h),on,twice (km/h)\n" +
		"run,2026-03-21T10:00:00Z,0.0,eco,90,,true,0.0\nrun,2026-03-21T10:00:01Z,3.6,eco,91,,true,7.2\n"; csv != want {
		t.Errorf("CSV is\n%s, want\n%s", csv, want)
	}

	laps := s.call(t, "GET", "/api/v1/compare?laps=circles:1,circles:2&metrics=speed_ms,power_w&points=10&units=metric", admin, nil).body
	plain := s.call(t, "GET", "/api/v1/compare?laps=circles:1,circles:2&metrics=speed_ms,power_w&points=10", admin, nil).body
	of := func(body object) []any {
		return body["laps"].([]any)[1].(object)["metrics"].(object)["speed_ms"].([]any)
	}
	for i, v := range of(plain) {
		if v != nil {
			near(t, "speed of a lap", of(laps)[i], v.(float64)*3.6)
		}
	}
	path := "/api/v1/sessions/circles/laps?metrics=speed_ms,power_w"
	in := func(body object, name string) object {
		return body["laps"].([]any)[1].(object)["metrics"].(object)[name].(object)
	}
	own, other := s.call(t, "GET", path, admin, nil).body, s.call(t, "GET", path+"&units=metric", admin, nil).body
	for _, of := range []string{"mean", "min", "max"} {
		near(t, of+" of a lap", in(other, "speed_ms")[of], in(own, "speed_ms")[of].(float64)*3.6)
		near(t, of+" power of a lap", in(other, "power_w")[of], in(own, "power_w")[of].(float64))
	}
	if in(other, "speed_ms")["unit"] != "km/h" || in(other, "power_w")["unit"] != "W" || in(own, "speed_ms")["unit"] != nil {
		t.Errorf("units of a lap: %v", in(other, "speed_ms"))
	}
	if units := laps["units"].(object); units["speed_ms"] != "km/h" || units["power_w"] != "W" || plain["units"] != nil {
		t.Errorf("units of a comparison: %v", units)
	}
	if got := s.call(t, "GET", "/api/v1/sessions/run/series?metrics=speed_ms&units=imperial", admin, nil); got.status != 400 {
		t.Errorf("units that there are not: %+v", got)
	}

	// What an account prefers may change: only an address that names the units lasts.
	version := s.call(t, "GET", "/api/v1/sessions/run", admin, nil).body["version"].(string)
	for units, want := range map[string]bool{"": true, "&units=si": true, "&units=display": false} {
		_, header := s.text(t, "/api/v1/sessions/run/series?metrics=energy_j&version="+version+units, admin)
		if lasts := strings.Contains(header.Get("Cache-Control"), "immutable"); lasts != want || !want && header.Get("Cache-Control") != "private, no-cache" {
			t.Errorf("%q: %s", units, header.Get("Cache-Control"))
		}
	}
}

// A table in other units than the stored ones brings back the stored values when it is
// imported: its header says the units.
func TestTablesInOtherUnitsAreReadBack(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	admin := s.as(t, auth.Admin)
	var lines strings.Builder
	for i := range 40 {
		fmt.Fprintf(&lines, `{"session_id":"from","timestamp":"2026-03-21T10:00:%02d.125Z","driver_mode":"eco"`, i)
		for _, c := range channel.All {
			if c.Type == channel.Float && rand.IntN(4) > 0 && c.Name != "latitude" && c.Name != "longitude" {
				fmt.Fprintf(&lines, `,%q:%v`, c.Name, (rand.Float64()-0.3)*math.Pow(10, float64(rand.IntN(8)-3)))
			}
		}
		fmt.Fprintf(&lines, `,"Oil":%v,"Tyre (rear), FL":%v,"brake_temp_c":%d,"pace_kmh":%v,"pump":%q}`+"\n", rand.Float64()*100, rand.Float64()*30, rand.IntN(400), rand.Float64()*50, []string{"on", "off"}[i%2])
	}
	if got := s.call(t, "POST", "/api/v1/telemetry", admin, lines.String()); got.status != 200 {
		t.Fatalf("upload = %+v", got)
	}
	if _, err := s.store.Rollups.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, unit := range map[string]string{"oil": "degF", "tyre_rear_fl": "psi"} {
		if got := s.call(t, "PUT", "/api/v1/channels/"+name, admin, object{"unit": unit}); got.status != 200 {
			t.Fatalf("%s: %+v", name, got)
		}
	}
	read := func(run string) []object {
		body, _ := s.text(t, "/api/v1/sessions/"+run+"/records?format=json", admin)
		var page struct{ Records []object }
		if err := json.Unmarshal([]byte(body), &page); err != nil {
			t.Fatal(err)
		}
		return page.Records
	}
	var fields []string
	for _, c := range channel.All {
		if c.Type == channel.Float || c.Type == channel.Text {
			fields = append(fields, c.Name)
		}
	}
	fields = append(fields, "oil", "tyre_rear_fl", "brake_temp_c", "pace_kmh", "pump")
	want := read("from")
	for _, query := range []string{"si", "metric", "si&fields=" + strings.Join(fields, ","), "metric&fields=" + strings.Join(fields, ",")} {
		table, _ := s.text(t, "/api/v1/sessions/from/records?format=csv&units="+query, admin)
		run := "to-" + query[:2] + fmt.Sprint(len(query))
		if got := s.call(t, "POST", "/api/v1/telemetry?session_id="+run, admin, table, "Content-Type", "text/csv"); got.status != 200 {
			t.Fatalf("%s: %+v\n%.500s", query, got, table)
		}
		got := read(run)
		if len(got) != len(want) {
			t.Fatalf("%s: %d records, want %d", query, len(got), len(want))
		}
		for i := range want {
			for name, w := range want[i] {
				g := got[i][name]
				if v, ok := w.(float64); ok {
					near(t, fmt.Sprintf("%.20s: %s of %d", query, name, i), g, v)
				} else if name != "session_id" && g != w {
					t.Errorf("%.20s: %s of %d is %v, want %v", query, name, i, g, w)
				}
			}
			if len(got[i]) != len(want[i]) {
				t.Errorf("%.20s: a record has %v, want %v", query, got[i], want[i])
			}
		}
	}
}

// A member that became no channel, since a math channel has its name, has no unit.
func TestUnitsAreNotOfAMathChannelsNamesake(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	admin := s.as(t, auth.Admin)
	if got := s.call(t, "PUT", "/api/v1/channels/pace", admin, `{"unit":"m/s","expression":"2 * speed_ms"}`); got.status != 200 {
		t.Fatalf("%+v", got)
	}
	if got := s.call(t, "POST", "/api/v1/telemetry", admin, `{"session_id":"run","timestamp":"2026-03-21T10:00:00Z","speed_ms":5,"pace":7}`+"\n"); got.status != 200 {
		t.Fatalf("%+v", got)
	}
	if _, err := s.store.Rollups.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, _ := s.text(t, "/api/v1/sessions/run/records?format=ndjson&units=metric", admin)
	if !strings.Contains(text, `"speed_ms (km/h)":18`) || !strings.Contains(text, `"pace": 7`) {
		t.Errorf("the member of the record is %s", text)
	}
	text, _ = s.text(t, "/api/v1/sessions/run/records?format=ndjson&units=metric&fields=pace", admin)
	if !strings.Contains(text, `"pace (km/h)":36`) {
		t.Errorf("the math channel is %s", text)
	}
}

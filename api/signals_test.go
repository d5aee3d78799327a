package api_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/api"
	"github.com/ecovolt/telemetryd/auth"
)

// Bounds are in the units of the answer, further runs are asked for each, and laps are
// those of the run.
func TestSignalsOverREST(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	start := time.Date(2026, 3, 21, 12, 0, 0, 0, time.UTC)
	s.drive(t, "race", start, 500)
	s.drive(t, "older", start.AddDate(0, 0, -1), 100)
	list, seconds, _ := driven{id: "circles", quick: []float64{1, 1.1, 1.2}, power: []float64{1, 1, 1}}.drive()
	s.upload(t, list)
	internal := s.as(t, auth.Internal)
	get := func(run, query, who string) reply {
		t.Helper()
		return s.call(t, "GET", "/api/v1/sessions/"+run+"/signals?"+query, who, nil)
	}
	// Speeds are 0 to 49 m/s, each ten times: ten to 36 km/h and, at its upper edge, one more.
	got := get("race", "x=speed_ms&units=metric&x_bins=10&x_low=0&x_high=36&mean=power_w", internal)
	if got.status != 200 {
		t.Fatalf("%+v", got)
	}
	x := got.body["x"].(object)
	if counts := fmt.Sprint(got.body["counts"]); counts != "[10 10 10 10 10 10 10 10 10 20]" || x["unit"] != "km/h" || x["above"] != 390.0 || column(x["edges"])[10] != 36 {
		t.Errorf("%s between %v, %v above", counts, x["edges"], x["above"])
	}
	if mean, apart := x["mean"].(float64), x["deviation"].(float64); math.Abs(mean-24.5*3.6) > 1e-9 || math.Abs(apart-3.6*math.Sqrt(500./499*(50*50-1)/12)) > 1e-9 {
		t.Errorf("%v ± %v km/h", mean, apart)
	}
	if got = get("race", "x=speed_ms&x_bins=1&also=older,race", internal); got.body["records"] != 600.0 || len(got.body["sessions"].([]any)) != 2 {
		t.Errorf("two runs: %+v", got.body)
	}
	// 1e308 km/h are nothing out of the way, and 1e308 Wh are more J than there are numbers.
	if got := s.call(t, "PUT", "/api/v1/channels/energy", s.as(t, auth.Admin), object{"expression": "power_w * 1", "unit": "J"}); got.status != 200 {
		t.Fatalf("%+v", got)
	}
	if got = get("race", "x=energy&units=metric&x_bins=1&x_low=-1e308&x_high=1e308", internal); got.status != 200 || got.body["counted"] != 500.0 {
		t.Errorf("bounds that no stored value can have: %+v", got)
	}
	got = get("circles", "x=speed_ms&y=power_w&laps=1,3", internal)
	if want := (seconds[0] + seconds[2]) * 5; got.status != 200 || got.body["records"].(float64) < want-10 || got.body["records"].(float64) > want+10 {
		t.Errorf("two laps: %d, %v records, want about %v", got.status, got.body["records"], want)
	}
	// A comma in an id is no comma between two.
	s.drive(t, "wet, cold", start.AddDate(0, 0, -2), 100)
	if got = get("race", "x=speed_ms&x_bins=1&also=wet%252C%20cold,older", internal); got.body["records"] != 700.0 {
		t.Errorf("a run with a comma: %+v", got.body)
	}
	// The southern half of the circle, which each lap comes into and leaves once.
	southern := "47,11,48.1,12"
	got = get("circles", "x=speed_ms&region="+southern, internal)
	stays := s.call(t, "GET", "/api/v1/sessions/circles/stays?region="+southern, internal, nil)
	if n := len(stays.body["stays"].([]any)); n < 3 || math.Abs(stays.body["seconds"].(float64)*5-got.body["records"].(float64)) > float64(n) {
		t.Errorf("%d stays of %v s together have %v records", n, stays.body["seconds"], got.body["records"])
	}
	if part := get("circles", "x=speed_ms&laps=1,3&region="+southern, internal).body["records"].(float64); part < 0.55*got.body["records"].(float64) || part > 0.8*got.body["records"].(float64) {
		t.Errorf("%v of %v records are of two laps of three", part, got.body["records"])
	}
	for query, status := range map[string]int{"x=speed_ms&region=1,2,3": 400, "x=speed_ms&region=48,11,47,12": 400, "x=speed_ms&region=48,11,north,12": 400, "x=speed_ms&laps=9": 400, "x=speed_ms&laps=one": 400, "x=speed_ms&laps=1&also=race": 400, "x=speed_ms&also=none": 404, "y=speed_ms": 400} {
		if got := get("circles", query, internal); got.status != status {
			t.Errorf("%s: %+v", query, got)
		}
	}
	// Line by line it says how far it has come, and at once what is known.
	lines := func(query string) (list []object, status int) {
		t.Helper()
		request, _ := http.NewRequestWithContext(t.Context(), "GET", s.url+"/api/v1/sessions/race/signals?"+query, nil)
		request.Header.Set("Authorization", internal)
		request.Header.Set("Accept", "application/x-ndjson")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		for decoder := json.NewDecoder(response.Body); ; {
			var line object
			if err := decoder.Decode(&line); err == io.EOF {
				return list, response.StatusCode
			} else if err != nil {
				t.Fatal(err)
			}
			list = append(list, line)
		}
	}
	first, status := lines("x=speed_ms&x_bins=10&y=power_w&units=metric")
	if n := len(first); status != 200 || n < 2 || first[0]["progress"] != 0.0 || first[n-1]["answer"].(object)["records"] != 500.0 || first[n-1]["answer"].(object)["x"].(object)["unit"] != "km/h" {
		t.Errorf("%d, line by line: %v", status, first)
	}
	if again, _ := lines("x=speed_ms&x_bins=10&y=power_w&units=metric"); len(again) != 1 || !reflect.DeepEqual(again[0], first[len(first)-1]) {
		t.Errorf("again: %v", again)
	}
	if refused, status := lines("x=nothing"); status != 400 || refused[0]["title"] != "Bad Request" {
		t.Errorf("what is wrong at once: %d, %v", status, refused)
	}
	if _, err := s.pool.Exec(t.Context(), "ALTER TABLE telemetry RENAME COLUMN accel_x TO accel_q"); err != nil {
		t.Fatal(err)
	}
	if failed, _ := lines("x=accel_x&x_low=0&x_high=1"); len(failed) != 2 || failed[1]["error"].(object)["status"] != 500.0 {
		t.Errorf("what fails while it reads: %v", failed)
	}
	if got := get("older", "x=speed_ms", ""); got.status != 401 {
		t.Errorf("a visitor sees a past run: %d", got.status)
	}
}

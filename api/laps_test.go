package api_test

import (
	"encoding/csv"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/api"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// recordsOf reads a file whose columns are fields of the contract.
func recordsOf(t *testing.T, name string) (list []object) {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", "cases", name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows[1:] {
		r := object{}
		for i, cell := range row {
			if v, err := strconv.ParseFloat(cell, 64); err == nil {
				r[rows[0][i]] = v
			} else {
				r[rows[0][i]] = cell
			}
		}
		list = append(list, r)
	}
	return list
}

// Three laps of 62.8 s are three laps of 62.8 s, whatever single fixes say.
func TestLapsOfOddFixes(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	internal := s.as(t, auth.Internal)
	for _, tc := range []struct {
		file, session string
		laps          int
		noFix         float64 // at least
		exactly       bool
	}{
		{"08c-clean.csv", "in08c", 3, 0, true},
		{"08a-first-fix-garbage.csv", "in08a", 3, 1, true},
		{"08d-one-fix-in-twenty-impossible.csv", "in08d", 6, 50, false},
	} {
		t.Run(tc.file, func(t *testing.T) {
			sent := recordsOf(t, tc.file)
			if got := s.call(t, "POST", "/api/v1/telemetry", "Bearer ingest|key:1", sent); got.status != 200 && got.status != 201 {
				t.Fatalf("ingest: %+v", got)
			}
			path := "/api/v1/sessions/" + tc.session
			laps := s.call(t, "GET", path+"/laps", internal, nil).body["laps"].([]any)
			if len(laps) != tc.laps {
				t.Fatalf("%d laps, want %d: %v", len(laps), tc.laps, laps)
			}
			for i, lap := range laps {
				l := lap.(object)
				if seconds := l["seconds"].(float64); math.Abs(seconds-62.83) > 0.1 {
					t.Errorf("lap %d takes %v s", i+1, seconds)
				}
				// 8 m/s and 200 W throughout.
				if metres, wh := l["distance_m"].(float64), l["energy_wh"].(float64); math.Abs(metres-8*62.83) > 1 || math.Abs(wh-200*62.83/3600) > 0.01 {
					t.Errorf("lap %d is %v m long and takes %v Wh", i+1, metres, wh)
				}
			}
			summary := s.call(t, "GET", path+"/summary", internal, nil).body
			if noFix := summary["no_fix"].(float64); noFix < tc.noFix || tc.exactly && noFix != tc.noFix {
				t.Errorf("no_fix %v, want %v", noFix, tc.noFix)
			}
			seconds := float64(len(sent)-1) / 5
			if km, wh := summary["distance_km"].(float64), summary["energy_wh"].(float64); math.Abs(km*1000-8*seconds) > 0.1 || math.Abs(wh*3600-200*seconds) > 1 {
				t.Errorf("%v km and %v Wh in %v s", km, wh, seconds)
			}
			track := s.call(t, "GET", path+"/track?tolerance=0", internal, nil).body
			drawn := 0
			for _, part := range track["geometry"].(object)["coordinates"].([]any) {
				for _, p := range part.([]any) {
					lon, lat := p.([]any)[0].(float64), p.([]any)[1].(float64)
					if drawn++; math.Abs(lat-48.1) > 0.01 || math.Abs(lon-11.5) > 0.01 {
						t.Fatalf("the track leads to %v, %v", lat, lon)
					}
				}
			}
			if drawn != len(sent)-int(summary["no_fix"].(float64)) {
				t.Errorf("%d points of %d records without %v", drawn, len(sent), summary["no_fix"])
			}
		})
	}
}

// What a car counts itself stands beside what its records sum up to, with the
// reason for the difference.
func TestSentCountersBeside(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	var list []object
	for i := range 600 {
		power := 300.0
		if i >= 300 {
			power = -100 // regeneration
		}
		at := fmt.Sprintf("2026-06-03T10:%02d:%02dZ", i/60, i%60)
		list = append(list, object{"session_id": "counted", "timestamp": at, "speed_ms": 10, "power_w": power, "distance_m": float64(i) * 9})
	}
	if got := s.call(t, "POST", "/api/v1/telemetry", "Bearer ingest|key:1", list); got.status != 200 && got.status != 201 {
		t.Fatalf("ingest: %+v", got)
	}
	internal := s.as(t, auth.Internal)
	got := s.call(t, "GET", "/api/v1/sessions/counted/summary", internal, nil).body
	// 299 steps of 300 W, one from 300 to -100, 299 of -100.
	if wh := got["energy_wh"].(float64); math.Abs(wh*3600-(299*300+100-299*100)) > 1e-6 || got["distance_km"] != 5.99 {
		t.Errorf("%v Wh, %v km", wh, got["distance_km"])
	}
	sent, _ := got["sent"].(object)
	if sent == nil || sent["distance_km"] != 5.391 || sent["why"] == "" {
		t.Errorf("sent %v", got["sent"])
	}
	runs := s.call(t, "GET", "/api/v1/sessions", internal, nil).body["sessions"].([]any)
	if one := runs[0].(object); one["distance_km"] != 5.99 {
		t.Errorf("the list of runs says %v km", one["distance_km"])
	}
}

// What records of a lap say of channels is what they say, of whatever kind those are,
// and again when some of them came since.
func TestLapMetrics(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	internal := s.as(t, auth.Internal)
	list, _, _ := driven{id: "run", quick: even(3), power: even(3), seed: 1}.drive()
	for i, one := range list {
		one["tyre_pressure"] = float64(i)
		if i%2 == 0 {
			delete(one, "message_id")
		}
	}
	s.upload(t, list)
	admin := s.as(t, auth.Admin)
	for name, body := range map[string]object{"double": {"expression": "speed_ms * 2"}, "huge": {"expression": "speed_ms * 1e200"}, "pull": {"expression": "rate(speed_ms)"}, "tyre_pressure": {"unit": "bar"}} {
		if got := s.call(t, "PUT", "/api/v1/channels/"+name, admin, body); got.status != http.StatusOK {
			t.Fatalf("%+v", got)
		}
	}
	path := "/api/v1/sessions/run/laps"
	check := func() {
		t.Helper()
		got := s.call(t, "GET", path+"?metrics=speed_ms,message_id,double,huge,tyre_pressure", internal, nil)
		laps, _ := got.body["laps"].([]any)
		if len(laps) != 3 {
			t.Fatalf("%+v", got)
		}
		for _, one := range laps {
			lap := one.(object)
			type sums struct{ n, sum, low, high float64 }
			want := map[string]*sums{}
			for _, r := range list {
				if at := r["timestamp"].(string); at < record.FormatTime(timeOf(t, lap["from"])) || at >= record.FormatTime(timeOf(t, lap["to"])) {
					continue
				}
				if speed, ok := r["speed_ms"].(float64); ok {
					r["double"], r["huge"] = speed*2, speed*1e200
				}
				for _, name := range []string{"speed_ms", "message_id", "double", "huge", "tyre_pressure"} {
					v, ok := r[name].(float64)
					if n, whole := r[name].(int); whole {
						v, ok = float64(n), true
					}
					if !ok {
						continue
					}
					if want[name] == nil {
						want[name] = &sums{low: v, high: v}
					}
					w := want[name]
					w.n, w.sum, w.low, w.high = w.n+1, w.sum+v, min(w.low, v), max(w.high, v)
				}
			}
			for name, w := range want {
				got := lap["metrics"].(object)[name].(object)
				if got["count"] != w.n || got["min"] != w.low || got["max"] != w.high || math.Abs(got["mean"].(float64)-w.sum/w.n) > 1e-9*math.Abs(w.sum) {
					t.Errorf("lap %v: %s is %v, want %+v", lap["lap"], name, got, *w)
				}
			}
		}
	}
	check()
	check() // as it was worked out before
	at := timeOf(t, list[len(list)/2]["timestamp"]).Add(time.Millisecond)
	late := object{"session_id": "run", "timestamp": record.FormatTime(at), "tyre_pressure": 1e6}
	list = append(list, late)
	s.upload(t, list[len(list)-1:])
	check()
	for query, want := range map[string]int{"?metrics=nothing": 400, "?metrics=driver_mode": 400, "?metrics=outliers": 400, "?metrics=pull": 400} {
		if got := s.call(t, "GET", path+query, internal, nil); got.status != want {
			t.Errorf("%s: %+v", query, got)
		}
	}
}

func timeOf(t *testing.T, v any) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, v.(string))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// Each way of moving has the seconds and the energy that it took, and all of them add
// up to the run; what there is to tell of a gap is nothing.
func TestMotion(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	start := time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC)
	var list []object
	speed, at := 0.0, start
	for _, part := range []struct{ seconds, gain, power float64 }{{20, 0, 0}, {20, 0.5, 300}, {60, 0, 120}, {40, -0.05, 0}, {10, -0.7, -80}} {
		for range int(part.seconds * 5) {
			list = append(list, object{"session_id": "parts", "timestamp": record.FormatTime(at), "speed_ms": speed, "power_w": part.power})
			speed, at = speed+part.gain/5, at.Add(200*time.Millisecond)
		}
		if part.power == 120 {
			at = at.Add(time.Minute)
		}
	}
	s.upload(t, list)
	got := s.call(t, "GET", "/api/v1/sessions/parts/laps", s.as(t, auth.Internal), nil)
	if got.status != http.StatusOK {
		t.Fatalf("%+v", got)
	}
	seconds, energy := 0.0, 0.0
	want := map[string][2]float64{"accelerating": {20, 300 * 20. / 3600}, "cruising": {60, 120 * 60. / 3600}, "coasting": {40, 0}, "standing": {20, 0}, "braking": {10, -80 * 10. / 3600}}
	for i, one := range got.body["motion"].([]any) {
		m := one.(object)
		name, took, used := m["motion"].(string), m["seconds"].(float64), m["energy_wh"].(float64)
		if math.Abs(took-want[name][0]) > 2 || math.Abs(used-want[name][1]) > 0.1 || i == 0 && name != "cruising" {
			t.Errorf("%d: %s %v s, %v Wh, want %v", i, name, took, used, want[name])
		}
		delete(want, name)
		seconds, energy = seconds+took, energy+used
	}
	if len(want) > 0 || math.Abs(seconds-149.8) > 0.5 || math.Abs(energy-(300*20+120*60-800)/3600.) > 0.1 {
		t.Errorf("none of %v; in all %v s, %v Wh", want, seconds, energy)
	}
}

// The lap that a run is in has the sectors that are over, which are those of the whole
// lap later; a sector in which laps begin is over with the lap.
func TestLapInProgress(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	who := s.as(t, auth.Internal)
	s.put(t, "track", driven{quick: even(4), seed: 1})
	s.laps(t, who, "track")
	for _, from := range []float64{0, 100} {
		id := fmt.Sprint("from-", from)
		list, seconds, _ := driven{id: id, quick: []float64{1, 1.1, 0.9}, power: even(3), seed: 2, from: from}.drive()
		at := seconds[0] + seconds[1] + seconds[2]*0.9
		s.upload(t, list[:int(at/0.2)])
		laps := s.laps(t, who, id)
		now, _ := laps["open_lap"].(object)
		if len(laps["laps"].([]any)) != 2 || now["lap"] != 3.0 || now["from"] != laps["laps"].([]any)[1].(object)["to"] {
			t.Errorf("%s: %d laps, then %v", id, len(laps["laps"].([]any)), now)
			continue
		}
		over := now["sectors"].([]any)
		if len(over) != len(names(laps))-1 {
			t.Errorf("%s: %d of %d sectors are over", id, len(over), len(names(laps)))
		}
		s.upload(t, list[int(at/0.2):])
		laps = s.laps(t, who, id)
		whole := laps["laps"].([]any)[2].(object)["sectors"].([]any)
		for _, one := range over {
			same := whole[int(one.(object)["sector"].(float64))-1].(object)
			if a, b := one.(object)["seconds"].(float64), same["seconds"].(float64); math.Abs(a-b) > 0.2 || one.(object)["time_rank"] != nil {
				t.Errorf("%s: sector %v took %.2f s, and %.2f s of the whole lap", id, same["sector"], a, b)
			}
		}
		if now := laps["open_lap"].(object); now["lap"] != 4.0 || len(now["sectors"].([]any)) != 0 {
			t.Errorf("%s: after the last lap %v", id, now)
		}
		if got := s.call(t, "GET", "/api/v1/sessions/"+id+"/laps?at_least=30", who, nil); got.body["open_lap"] != nil {
			t.Errorf("%s: where the request says what a lap is: %v", id, got.body["open_lap"])
		}
	}
}

// A place that is noted says when the run came by, lap by lap; one that is far from its
// way never.
func TestPassesOfNotedPlaces(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	who := s.as(t, auth.Internal)
	s.put(t, "round", driven{quick: []float64{1, 1.2, 0.9}, seed: 1})
	for _, body := range []object{
		{"text": "bump", "latitude": 48.1 + 100.0/111195, "longitude": 11.5}, // a quarter of the way round
		{"text": "bakery", "latitude": 48.11, "longitude": 11.5},
		{"text": "all of it"},
	} {
		if got := s.call(t, "POST", "/api/v1/sessions/round/notes", who, body); got.status != http.StatusCreated {
			t.Fatalf("%+v", got)
		}
	}
	_, took, _ := driven{id: "round", quick: []float64{1, 1.2, 0.9}, power: even(3), seed: 1}.drive()
	got := s.call(t, "GET", "/api/v1/sessions/round/notes?kind=note&passes=true", who, nil)
	if got.status != http.StatusOK {
		t.Fatalf("%+v", got)
	}
	for _, one := range got.body["notes"].([]any) {
		n := one.(object)
		passes, _ := n["passes"].([]any)
		if n["text"] != "bump" {
			if len(passes) > 0 {
				t.Errorf("%v: passed %v", n["text"], passes)
			}
			continue
		}
		if len(passes) != 3 {
			t.Fatalf("bump: passed %v", passes)
		}
		before := time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC)
		for i, pass := range passes {
			at, err := time.Parse(time.RFC3339, pass.(object)["at"].(string))
			// What a quarter of the circle takes at 8 + 2 sin(2 angle) m/s, of what all of it does.
			if share := at.Sub(before).Seconds() / took[i]; err != nil || pass.(object)["lap"] != float64(i+1) || math.Abs(share-0.2098) > 0.01 {
				t.Errorf("bump: %v, %.4f of the lap (%v)", pass, share, err)
			}
			before = before.Add(time.Duration(took[i] * 1e9))
		}
	}
	if got := s.call(t, "GET", "/api/v1/sessions/round/notes?kind=note", who, nil); strings.Contains(fmt.Sprint(got.body), "passes") {
		t.Errorf("without being asked for: %v", got.body)
	}
}

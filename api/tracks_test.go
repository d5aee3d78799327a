package api_test

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/ecovolt/telemetryd/api"
	"github.com/ecovolt/telemetryd/auth"
)

// even are laps that are driven alike.
func even(laps int) []float64 { return slices.Repeat([]float64{1}, laps) }

// put uploads a drive under another name.
func (s site) put(t *testing.T, id string, d driven) {
	t.Helper()
	d.id = id
	if d.power == nil {
		d.power = even(len(d.quick))
	}
	list, _, _ := d.drive()
	s.upload(t, list)
}

// laps are those of what was uploaded: on a busy machine readers are content with what
// was computed just now.
func (s site) laps(t *testing.T, who, id string) object {
	t.Helper()
	if _, err := s.pool.Exec(t.Context(), "UPDATE analysis_runs SET took_s = 0"); err != nil {
		t.Fatal(err)
	}
	got := s.call(t, "GET", "/api/v1/sessions/"+id+"/laps", who, nil)
	if got.status != http.StatusOK {
		t.Fatalf("laps of %s: %+v", id, got)
	}
	return got.body
}

func trackOf(laps object) (id float64) {
	if one, ok := laps["track"].(object); ok {
		return one["id"].(float64)
	}
	return 0
}

func names(laps object) (list []string) {
	for _, s := range laps["sectors"].([]any) {
		list = append(list, s.(object)["name"].(string))
	}
	return list
}

// A track is found from two laps of a run, and known in others wherever they begin;
// not where they go elsewhere, or the other way round.
func TestTrackIsKnownByPlace(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	internal := s.as(t, auth.Internal)
	s.put(t, "first", driven{quick: even(4), seed: 1})
	first := s.laps(t, internal, "first")
	id := trackOf(first)
	if got := s.call(t, "GET", "/api/v1/sessions/first/laps?at_least=80000", internal, nil); len(got.body["laps"].([]any)) != 0 || trackOf(got.body) != id {
		t.Errorf("without a lap that long: %+v", got.body)
	}
	if id == 0 || len(names(first)) < 3 || names(first)[0] != "Sector 1" {
		t.Fatalf("%v", first)
	}
	s.put(t, "again", driven{quick: even(3), seed: 2, from: 200})
	s.put(t, "one lap and a half", driven{quick: even(1), seed: 3, from: 300})
	s.put(t, "abroad", driven{quick: even(3), seed: 4, north: 0.05})
	s.put(t, "one lap abroad", driven{quick: even(1), seed: 4, north: -0.05})
	back, _, _ := driven{id: "back", quick: even(3), power: even(3), seed: 5}.drive()
	for _, r := range back { // mirrored
		r["longitude"] = 23 - r["longitude"].(float64)
	}
	s.upload(t, back)
	again := s.laps(t, internal, "again")
	if trackOf(again) != id || trackOf(s.laps(t, internal, "one lap and a half")) != id {
		t.Errorf("a run of the same track is on %v", again["track"])
	}
	for _, other := range []string{"abroad", "back"} {
		if got := trackOf(s.laps(t, internal, other)); got == id || got == 0 {
			t.Errorf("%s is on track %v", other, got)
		}
	}
	if lone := s.laps(t, internal, "one lap abroad"); trackOf(lone) != 0 || len(lone["laps"].([]any)) != 1 || len(names(lone)) < 3 {
		t.Errorf("of one lap: %v", lone)
	}
	// Its laps begin where it began; its sectors where those of the first do.
	if list := again["laps"].([]any); len(list) != 3 {
		t.Fatalf("%d laps", len(list))
	}
	for k, sector := range first["laps"].([]any)[1].(object)["sectors"].([]any) {
		a, b := sector.(object)["seconds"].(float64), again["laps"].([]any)[1].(object)["sectors"].([]any)[k].(object)["seconds"].(float64)
		if math.Abs(a-b) > 0.25 {
			t.Errorf("sector %d takes %.2f s, and %.2f s from elsewhere", k+1, a, b)
		}
	}
	if got := s.call(t, "GET", "/api/v1/tracks", internal, nil); len(got.body["tracks"].([]any)) != 3 {
		t.Errorf("%v", got.body)
	}
	// Whoever may list no run of a place does not learn of it.
	external, path := s.as(t, auth.External), fmt.Sprintf("/api/v1/tracks/%.0f", id)
	for since, want := range map[string]int{"8 days": 0, "6 days": 1} {
		if _, err := s.pool.Exec(t.Context(), "UPDATE sessions SET first_time = now() - $1::interval WHERE id = 'first'", since); err != nil {
			t.Fatal(err)
		}
		got, one := s.call(t, "GET", "/api/v1/tracks", external, nil), s.call(t, "GET", path, external, nil)
		if len(got.body["tracks"].([]any)) != want || (one.status == http.StatusOK) != (want == 1) {
			t.Errorf("%s later: %+v, %+v", since, got, one)
		}
	}
}

// What people say of a track holds for all runs on it, those that were there and
// those that come.
func TestEditTrack(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	internal, admin := s.as(t, auth.Internal), s.as(t, auth.Admin)
	s.put(t, "first", driven{quick: even(4), seed: 1})
	s.put(t, "second", driven{quick: even(4), seed: 2, from: 100})
	path := fmt.Sprintf("/api/v1/tracks/%.0f", trackOf(s.laps(t, internal, "first")))
	s.laps(t, internal, "second")

	got := s.call(t, "GET", path, internal, nil)
	line := got.body["line"].([]any)
	if len(line) < 100 || math.Abs(got.body["length_m"].(float64)-around) > 5 || got.body["finish_set"] != false {
		t.Fatalf("%.200v", got.body)
	}
	for problem, body := range map[string]object{
		"name":              {"name": strings.Repeat("x", 101)},
		"finish_m":          {"finish_m": around + 20},
		"sectors[1].from_m": {"sectors": []object{{"name": "", "from_m": 0}, {"name": "", "from_m": -1}}},
		"sectors[0].from_m": {"sectors": []object{{"name": "", "from_m": 0}, {"name": "", "from_m": 5}}},
		"sectors":           {"sectors": []object{{"name": "", "from_m": 0}, {"name": "", "from_m": 500}, {"name": "", "from_m": 200}}},
	} {
		if got := s.call(t, "PATCH", path, internal, body); got.status != 400 || got.body["problems"].([]any)[0].(object)["field"] != problem {
			t.Errorf("%s: %+v", problem, got)
		}
	}
	if got := s.call(t, "PATCH", path, s.as(t, auth.External), object{"name": "x"}); got.status != 403 {
		t.Errorf("an external account: %+v", got)
	}
	got = s.call(t, "PATCH", path, internal, object{"name": " Nogaro ", "sectors": []object{{"name": "Start", "from_m": 150}, {"name": "", "from_m": 300}, {"name": "Bend", "from_m": 450}}})
	if got.status != http.StatusOK || got.body["name"] != "Nogaro" || got.body["finish_set"] != true {
		t.Fatalf("%+v", got.body)
	}
	// The third comes from behind the finish, the fourth from just at it.
	s.put(t, "third", driven{quick: even(4), seed: 3, from: 200})
	s.put(t, "fourth", driven{quick: even(4), seed: 4, from: 155})
	for run, want := range map[string]int{"first": 3, "second": 3, "third": 3, "fourth": 4} {
		laps := s.laps(t, internal, run)
		if got := names(laps); !slices.Equal(got, []string{"Start", "Sector 2", "Bend"}) || laps["track"].(object)["name"] != "Nogaro" {
			t.Errorf("%s: %v of %v", run, got, laps["track"])
		}
		list := laps["laps"].([]any)
		if len(list) != want {
			t.Errorf("%s: %d laps from the finish, want %d", run, len(list), want)
			continue
		}
		// One that stood just behind the finish has begun its first lap there.
		for k, metres := range []float64{150, 150, around - 300} {
			if got := list[1].(object)["sectors"].([]any)[k].(object)["distance_m"].(float64); math.Abs(got-metres) > 3 {
				t.Errorf("%s: sector %d is %.1f m, want %.0f", run, k+1, got, metres)
			}
		}
		compared := s.call(t, "GET", "/api/v1/compare?laps="+run+":2,first:1", internal, nil).body
		for k, one := range compared["sectors"].([]any) {
			if one.(object)["name"] != []string{"Start", "Sector 2", "Bend"}[k] || math.Abs(one.(object)["from_m"].(float64)-150*float64(k)) > 3 {
				t.Errorf("%s: compared by %v", run, one)
			}
		}
		for k, one := range compared["laps"].([]any)[0].(object)["sectors"].([]any) {
			if a, b := one.(object)["time_s"].(float64), list[1].(object)["sectors"].([]any)[k].(object)["seconds"].(float64); math.Abs(a-b) > 0.15 {
				t.Errorf("%s: sector %d takes %.2f s, compared %.2f s", run, k+1, b, a)
			}
		}
	}
	// The finish alone moves; the gate that it comes to gives way.
	got = s.call(t, "PATCH", path, internal, object{"finish_m": 448})
	if list := got.body["sectors"].([]any); len(list) != 2 || list[0].(object)["from_m"] != 448.0 || list[1].(object)["from_m"] != 300.0 {
		t.Errorf("%v", got.body["sectors"])
	}
	audit := s.call(t, "GET", "/api/v1/audit?limit=50", admin, nil).body["events"].([]any)
	if n := len(slices.DeleteFunc(audit, func(e any) bool { return e.(object)["event"] != "track_changed" })); n != 2 {
		t.Errorf("%d entries of the audit log", n)
	}
}

// Two circuits that are one place become one: runs that were on either, and those that
// come, have the name, the finish and the sectors of the one that is kept.
func TestMergeTracks(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	internal, external, admin := s.as(t, auth.Internal), s.as(t, auth.External), s.as(t, auth.Admin)
	s.put(t, "first", driven{quick: even(4), seed: 1})
	s.put(t, "beside", driven{quick: even(4), seed: 2, from: 100, north: 0.0003}) // 33 m
	s.put(t, "abroad", driven{quick: even(3), seed: 4, north: 0.05})
	kept, other, abroad := trackOf(s.laps(t, internal, "first")), trackOf(s.laps(t, internal, "beside")), trackOf(s.laps(t, internal, "abroad"))
	path := fmt.Sprintf("/api/v1/tracks/%.0f", kept)
	if other == kept {
		t.Fatal("both are on one track already")
	}
	s.call(t, "PATCH", path, internal, object{"name": "Nogaro", "sectors": []object{{"name": "Start", "from_m": 150}, {"name": "Bend", "from_m": 450}}})
	for _, wrong := range []float64{kept, abroad, 999} {
		if got := s.call(t, "POST", path+"/merge", internal, object{"track": wrong}); got.status != 400 || got.body["problems"].([]any)[0].(object)["field"] != "track" {
			t.Errorf("track %v: %+v", wrong, got)
		}
	}
	if got := s.call(t, "POST", path+"/merge", external, object{"track": other}); got.status != 403 {
		t.Errorf("an external account: %+v", got)
	}
	if got := s.call(t, "POST", path+"/merge", internal, object{"track": other}); got.status != http.StatusOK || got.body["name"] != "Nogaro" {
		t.Fatalf("%+v", got)
	}
	s.put(t, "later", driven{quick: even(3), seed: 3, from: 200, north: 0.0003})
	for run, want := range map[string]int{"first": 3, "beside": 3, "later": 2} {
		laps := s.laps(t, internal, run)
		if got := names(laps); trackOf(laps) != kept || !slices.Equal(got, []string{"Start", "Bend"}) {
			t.Errorf("%s: %v of %v", run, got, laps["track"])
			continue
		}
		list := laps["laps"].([]any)
		if len(list) != want {
			t.Errorf("%s: %d laps from the finish, want %d", run, len(list), want)
		}
		// 33 m to the north, the gates lie where they do on the line that is kept.
		for k, metres := range []float64{300, around - 300} {
			if got := list[1].(object)["sectors"].([]any)[k].(object)["distance_m"].(float64); math.Abs(got-metres) > 40 {
				t.Errorf("%s: sector %d is %.1f m, want %.0f", run, k+1, got, metres)
			}
		}
	}
	if got := s.call(t, "GET", "/api/v1/tracks", internal, nil); len(got.body["tracks"].([]any)) != 2 {
		t.Errorf("%v", got.body)
	}
	if got := s.call(t, "GET", fmt.Sprintf("/api/v1/tracks/%.0f", other), internal, nil); got.status != 404 {
		t.Errorf("the other one: %+v", got)
	}
	// What was not one place after all is two again; then one, to be forgotten whole.
	if got := s.call(t, "POST", path+"/split", external, object{"track": other}); got.status != 403 {
		t.Errorf("an external account: %+v", got)
	}
	if got := s.call(t, "POST", path+"/split", internal, object{"track": abroad}); got.status != 400 {
		t.Errorf("what is no part: %+v", got)
	}
	if parts := s.call(t, "GET", path, internal, nil).body["parts"].([]any); len(parts) != 1 || parts[0].(object)["id"] != other {
		t.Errorf("parts are %v", parts)
	}
	if got := s.call(t, "POST", path+"/split", internal, object{"track": other}); got.status != http.StatusOK || got.body["parts"] != nil {
		t.Errorf("%+v", got)
	}
	for run, want := range map[string]float64{"first": kept, "beside": other, "later": other} {
		if got := trackOf(s.laps(t, internal, run)); got != want {
			t.Errorf("%s is on track %v, want %v", run, got, want)
		}
	}
	if got := s.call(t, "POST", path+"/merge", internal, object{"track": other}); got.status != http.StatusOK {
		t.Errorf("%+v", got)
	}
	// What is forgotten is found anew, as it was before people said anything of it.
	if got := s.call(t, "DELETE", path, external, nil); got.status != 403 {
		t.Errorf("an external account: %+v", got)
	}
	if got := s.call(t, "DELETE", path, internal, nil); got.status != http.StatusNoContent {
		t.Errorf("%+v", got)
	}
	for _, run := range []string{"first", "beside"} {
		laps := s.laps(t, internal, run)
		if id := trackOf(laps); id == 0 || id == kept || id == other || names(laps)[0] != "Sector 1" || len(laps["laps"].([]any)) != 4 {
			t.Errorf("%s: %d laps on %v, %v", run, len(laps["laps"].([]any)), laps["track"], names(laps))
		}
	}
	for event, want := range map[string]int{"tracks_merged": 2, "track_split": 1, "track_deleted": 1} {
		audit := s.call(t, "GET", "/api/v1/audit?limit=50", admin, nil).body["events"].([]any)
		if n := len(slices.DeleteFunc(audit, func(e any) bool { return e.(object)["event"] != event })); n != want {
			t.Errorf("%d entries %s of the audit log", n, event)
		}
	}
}

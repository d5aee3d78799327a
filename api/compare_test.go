package api_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/api"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// driven is a generated run on a circle of 100 m: each lap is so many times as
// quick as the first, and needs so many times its power.
type driven struct {
	id           string
	quick, power []float64
	seed         uint64
	from         float64 // place where it begins, m along the circle
	noFix        bool
	north        float64    // of the circle's middle, deg from that of others
	silent       [2]float64 // from where to where of the way nothing is sent, m
}

// around is once round the circle, m.
const around = 2 * math.Pi * 100

// drive returns the records, and how long and how much energy each lap truly took.
func (d driven) drive() (list []object, seconds, joules []float64) {
	rng := rand.New(rand.NewPCG(d.seed, 3))
	start := time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC)
	const tick = 0.002
	s := 0.0
	seconds, joules = make([]float64, len(d.quick)), make([]float64, len(d.quick))
	for i := 0; ; i++ {
		lap := int(s / around)
		// A little more than the last lap, so that it is seen to end.
		if s > around*float64(len(d.quick))+20 {
			return list, seconds, joules
		}
		k := min(lap, len(d.quick)-1)
		angle := (d.from + s) / 100
		v := (8 + 2*math.Sin(2*angle)) * d.quick[k]
		power := (200 + 100*math.Cos(angle)) * d.power[k]
		if i%100 == 0 && !(s > d.silent[0] && s < d.silent[1]) {
			one := object{"session_id": d.id, "timestamp": record.FormatTime(start.Add(time.Duration(float64(i) * tick * 1e9))), "speed_ms": v, "power_w": power,
				"driver_mode": []string{"eco", "normal"}[k%2], "message_id": i/100 + 1}
			if !d.noFix {
				one["latitude"] = 48.1 + d.north + (100*math.Sin(angle)+2*rng.NormFloat64())/111195
				one["longitude"] = 11.5 + (100*math.Cos(angle)+2*rng.NormFloat64())/111195/math.Cos(48.1*math.Pi/180)
			}
			list = append(list, one)
		}
		s += v * tick
		if lap < len(d.quick) {
			seconds[lap] += tick
			joules[lap] += power * tick
		}
	}
}

func (s site) upload(t *testing.T, list []object) {
	t.Helper()
	if got := s.call(t, "POST", "/api/v1/telemetry", "Bearer ingest|key:1", list); got.status != http.StatusOK {
		t.Fatalf("ingest: %+v", got)
	}
}

func column(v any) []float64 {
	list := make([]float64, len(v.([]any)))
	for i, one := range v.([]any) {
		f, ok := one.(float64)
		if !ok {
			f = math.NaN()
		}
		list[i] = f
	}
	return list
}

// Laps of one run differ by what they truly did: at the end, and on the way there.
func TestCompareLaps(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	internal := s.as(t, auth.Internal)
	if got := s.call(t, "PUT", "/api/v1/channels/pull", internal, object{"expression": "rate(speed_ms)"}); got.status != http.StatusOK {
		t.Fatalf("%+v", got)
	}
	var late, more []float64
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 11))
		d := driven{id: fmt.Sprintf("seed-%d", seed), seed: seed}
		for range 5 {
			d.quick, d.power = append(d.quick, 0.9+0.2*rng.Float64()), append(d.power, 0.9+0.2*rng.Float64())
		}
		list, seconds, joules := d.drive()
		s.upload(t, list)
		got := s.call(t, "GET", fmt.Sprintf("/api/v1/compare?laps=%[1]s:2,%[1]s:4&metrics=pull,speed_ms,pull,power_w,driver_mode,message_id&points=200", d.id), internal, nil)
		if got.status != http.StatusOK {
			t.Fatalf("seed %d: %+v", seed, got.body)
		}
		axis, laps := column(got.body["distance_m"]), got.body["laps"].([]any)
		if len(axis) != 200 || axis[0] != 0 || math.Abs(axis[199]-around) > 5 || len(laps) != 2 {
			t.Fatalf("seed %d: an axis of %d up to %v m, %d laps", seed, len(axis), axis[199], len(laps))
		}
		first, other := laps[0].(object), laps[1].(object)
		dt, de := column(other["dt_s"]), column(other["de_j"])
		for i := range axis {
			if v := column(first["dt_s"])[i]; v != 0 {
				t.Fatalf("seed %d: the first lap is %v s slower than itself", seed, v)
			}
		}
		number := func(lap object, name string) float64 { return lap[name].(float64) }
		if off := dt[199] - (number(other, "time_s") - number(first, "time_s")); math.Abs(off) > 1e-5 {
			t.Errorf("seed %d: the end says %v s more than the times", seed, off)
		}
		if off := de[199] - (number(other, "energy_j") - number(first, "energy_j")); math.Abs(off) > 1e-3 {
			t.Errorf("seed %d: the end says %v J more than the energies", seed, off)
		}
		late = append(late, math.Abs(dt[199]-(seconds[3]-seconds[1])))
		more = append(more, math.Abs(de[199]-(joules[3]-joules[1]))/joules[1])
		// The slower lap falls behind all along, by its factor of what the first took.
		sign := math.Copysign(1, 1/d.quick[3]-1/d.quick[1])
		for i := 1; i < 200; i++ {
			if (dt[i]-dt[i-1])*sign < -0.03 {
				t.Errorf("seed %d: at %.0f m %.3f s come back", seed, axis[i], dt[i]-dt[i-1])
			}
		}
		for _, lap := range []object{first, other} {
			if lap["aligned"] != "position" || lap["match"] != 1.0 || lap["session"] != d.id {
				t.Errorf("seed %d: %v %v %v", seed, lap["aligned"], lap["match"], lap["session"])
			}
			if km := number(lap, "energy_j_per_km"); math.Abs(km-number(lap, "energy_j")/number(lap, "distance_m")*1000) > 1e-6 {
				t.Errorf("seed %d: %v J/km", seed, km)
			}
			// How quick it was at its ends is what the records around them say.
			for name, end := range map[string]string{"from_ms": "start", "to_ms": "end"} {
				sum, n := 0.0, 0.0
				for _, r := range list {
					if moment(t, r["timestamp"]).Sub(moment(t, lap[end])).Abs() <= 1500*time.Millisecond {
						sum, n = sum+r["speed_ms"].(float64), n+1
					}
				}
				if v := number(lap, name); math.Abs(v-sum/n) > 0.1 {
					t.Errorf("seed %d: %s is %v, the records say %v", seed, name, v, sum/n)
				}
			}
			// Of a speed of 8 + 2 sin over the way.
			if v := number(lap, "cruise_variance"); v < 1 || v > 3 {
				t.Errorf("seed %d: the variance of speed is %v", seed, v)
			}
			sum, records, highest := map[string]float64{}, 0.0, 0.0
			for _, sector := range lap["sectors"].([]any) {
				for name, v := range sector.(object) {
					if v, ok := v.(float64); ok {
						sum[name] += v
					}
				}
				one := sector.(object)["means"].(object)["speed_ms"].(object)
				records += number(one, "count")
				highest = max(highest, number(one, "max"))
			}
			// Each record of the lap is in one of its sectors.
			if whole := lap["means"].(object)["speed_ms"].(object); number(whole, "count") != records || number(whole, "max") != highest || number(whole, "mean") < 5 || lap["means"].(object)["driver_mode"] != nil {
				t.Errorf("seed %d: the lap has %v, its sectors %v records and %v m/s", seed, whole, records, highest)
			}
			for name, v := range sum {
				if math.Abs(v-number(lap, name)) > 1e-3 {
					t.Errorf("seed %d: sectors have %s %v, the lap %v", seed, name, v, lap[name])
				}
			}
		}
		// The difference in a sentence is that of the figures, with the sector that has the most of it.
		later, parts, all, most := number(other, "time_s")-number(first, "time_s"), map[string]float64{}, 0.0, ""
		for k, sector := range got.body["sectors"].([]any) {
			took := func(lap object) float64 { return lap["sectors"].([]any)[k].(object)["time_s"].(float64) }
			parts[sector.(object)["name"].(string)] += math.Copysign(1, later) * (took(other) - took(first))
		}
		for name, v := range parts {
			if all += max(0, v); most == "" || v > parts[most] {
				most = name
			}
		}
		how, lost := "less", "gained"
		if later > 0 {
			how, lost = "longer", "lost"
		}
		if text, took, share := other["summary"].(string), fmt.Sprintf("Took %.2f s (%.1f %%) %s and ", math.Abs(later), 100*math.Abs(later)/number(first, "time_s"), how),
			fmt.Sprintf("%s has %.0f %% of the time %s.", most, 100*parts[most]/all, lost); !strings.HasPrefix(text, took) || !strings.Contains(text, share) || !strings.Contains(text, "energy than the first lap.") || first["summary"] != "" {
			t.Errorf("seed %d: %q, want %q and %q", seed, text, took, share)
		}
		metrics := other["metrics"].(object)
		for i, v := range column(metrics["speed_ms"]) {
			if want := (8 + 2*math.Sin(2*axis[i]/axis[199]*2*math.Pi)) * d.quick[3]; i > 3 && i < 196 && math.Abs(v-want) > 0.15 {
				t.Errorf("seed %d: at %.0f m %.2f m/s, want %.2f", seed, axis[i], v, want)
			}
		}
		for i, v := range column(metrics["pull"]) {
			at, q := 2*axis[i]/axis[199]*2*math.Pi, d.quick[3]
			if want := 2 * q * math.Cos(at) * 4 * math.Pi / axis[199] * (8 + 2*math.Sin(at)) * q; i > 3 && i < 196 && !(math.Abs(v-want) < 0.08) {
				t.Errorf("seed %d: at %.0f m %.2f m/s2, want %.2f", seed, axis[i], v, want)
			}
		}
		if mode := metrics["driver_mode"].([]any); mode[100] != "normal" || len(mode) != 200 {
			t.Errorf("seed %d: mode %v", seed, mode[100])
		}
		for _, v := range column(metrics["message_id"]) {
			if v != math.Floor(v) {
				t.Errorf("seed %d: counts have fractions: %v", seed, v)
				break
			}
		}
	}
	slices.Sort(late)
	slices.Sort(more)
	t.Logf("dt is off by %.3f s (median), %.3f s at worst; dE by %.2f %%, %.2f %%", late[10], late[19], 100*more[10], 100*more[19])
	if late[10] > 0.1 || more[10] > 0.01 {
		t.Errorf("dt is off by %.3f s, dE by %.4f", late, more)
	}
}

// Laps of other runs are laid on the line of the first, from wherever they began;
// a lap that has no fixes, or a gap, says so.
func TestCompareLapsOfOtherRuns(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	internal := s.as(t, auth.Internal)
	even := []float64{1, 1, 1, 1}
	for _, d := range []driven{
		{id: "a,1:2", quick: even, power: even, seed: 1},
		{id: "elsewhere", quick: []float64{0.9, 0.9, 0.9, 0.9}, power: even, seed: 2, from: 200},
		{id: "silent", quick: even, power: even, seed: 3, silent: [2]float64{around + 100, around + 200}},
		{id: "abroad", quick: even, power: even, seed: 5, north: 1},
		{id: "blind", quick: even, power: even, seed: 4, noFix: true},
	} {
		list, _, _ := d.drive()
		s.upload(t, list)
	}
	ask := func(laps, more string) object {
		t.Helper()
		got := s.call(t, "GET", "/api/v1/compare?laps="+laps+more, internal, nil)
		if got.status != http.StatusOK {
			t.Fatalf("%s: %+v", laps, got.body)
		}
		return got.body
	}
	name := url.QueryEscape("a,1") + ":2" // a colon may stand in an id
	got := ask(name+":2,elsewhere:2,silent:2", "&metrics=speed_ms")
	// Clients that encode whole values mean the same.
	if again := ask(url.QueryEscape(name+":2,elsewhere:2,silent:2"), "&metrics=speed_ms"); len(again["laps"].([]any)) != 3 {
		t.Errorf("%d laps", len(again["laps"].([]any)))
	}
	axis := column(got["distance_m"])
	last := len(axis) - 1
	laps := got["laps"].([]any)
	other := laps[1].(object)
	if other["aligned"] != "position" {
		t.Errorf("another run of the track is laid on by %v", other["aligned"])
	}
	dt := column(other["dt_s"])
	// A tenth slower all along, from the line's begin on.
	first := laps[0].(object)["time_s"].(float64)
	for i := range axis {
		v := func(x float64) float64 { return 8 + 2*math.Sin(2*x/100) }
		want := 0.0
		for x := 0.0; x < axis[i]; x++ {
			want += (1/0.9 - 1) / v(x)
		}
		if math.Abs(dt[i]-want) > 0.25 {
			t.Errorf("at %.0f m dt is %.2f s, want %.2f", axis[i], dt[i], want)
		}
	}
	if off := dt[last] - (other["time_s"].(float64) - first); math.Abs(off) > 1e-5 {
		t.Errorf("at the end dt is off by %v", off)
	}
	gap := laps[2].(object)
	if match := gap["match"].(float64); math.Abs(match-(1-100/around)) > 0.02 {
		t.Errorf("with a sixth missing, match is %v", match)
	}
	if v := column(gap["metrics"].(object)["speed_ms"]); !math.IsNaN(v[int(150/around*float64(last))]) || math.IsNaN(v[10]) {
		t.Errorf("in a gap the speed is %v", v[int(150/around*float64(last))])
	}

	// On another track, by what each drove.
	far := ask("elsewhere:2,abroad:2", "")["laps"].([]any)[1].(object)
	if dt := column(far["dt_s"]); far["aligned"] != "distance" || math.Abs(dt[len(dt)-1]-(0.9-1)*first/0.9) > 0.3 {
		t.Errorf("another track is laid on by %v, and dt ends at %v", far["aligned"], dt[len(dt)-1])
	}

	// By distance and by time there is no line, and so no sector.
	byDistance, byTime := ask("elsewhere:2,silent:3", "&by=distance"), ask("elsewhere:2,silent:3", "&by=time&metrics=speed_ms")
	for _, one := range []object{byDistance, byTime} {
		if len(one["sectors"].([]any)) != 0 {
			t.Errorf("%v has sectors", one["by"])
		}
	}
	if dt := column(byDistance["laps"].([]any)[1].(object)["dt_s"]); math.Abs(dt[len(dt)-1]-(0.9-1)*first/0.9) > 0.3 {
		t.Errorf("by distance dt ends at %v", dt[len(dt)-1])
	}
	shorter := byTime["laps"].([]any)[1].(object)
	speeds := column(shorter["metrics"].(object)["speed_ms"])
	if shorter["dt_s"] != nil || byTime["distance_m"] != nil || !math.IsNaN(speeds[len(speeds)-1]) || math.IsNaN(speeds[0]) || !(shorter["match"].(float64) < 0.95) {
		t.Errorf("by time: %v %v", shorter["dt_s"], shorter["match"])
	}

	for query, want := range map[string]struct {
		status int
		field  string
	}{
		"":                   {400, "laps"},
		"?laps=elsewhere":    {400, "laps"},
		"?laps=elsewhere:x":  {400, "laps"},
		"?laps=elsewhere:0":  {400, "laps"},
		"?laps=:1":           {400, "laps"},
		"?laps=elsewhere:1,": {400, "laps"},
		"?laps=" + strings.Repeat("elsewhere:1,", 6) + "elsewhere:2": {400, "laps"},
		"?laps=elsewhere:1&points=1":                                 {400, "points"},
		"?laps=elsewhere:1&points=2001":                              {400, "points"},
		"?laps=elsewhere:1&by=luck":                                  {400, "by"},
		"?laps=elsewhere:1&metrics=nonsense":                         {400, "metrics"},
		"?laps=elsewhere:1&metrics=outliers":                         {400, "metrics"},
		"?laps=elsewhere:99":                                         {404, ""},
		"?laps=blind:1":                                              {404, ""},
		"?laps=nobody:1":                                             {404, ""},
	} {
		got := s.call(t, "GET", "/api/v1/compare"+query, internal, nil)
		if text := fmt.Sprint(got.body); got.status != want.status || !strings.Contains(text, want.field) {
			t.Errorf("%s: %d %s, want %d that names %q", query, got.status, text, want.status, want.field)
		}
	}
	if got := s.call(t, "GET", "/api/v1/compare?laps=elsewhere:1", "", nil); got.status != http.StatusUnauthorized {
		t.Errorf("a stranger gets %d", got.status)
	}
	// What it costs is known before: it waits its turn, or is refused.
	for count, want := range map[int]int{4_000_000: 200, 40_000_000: 400} {
		if _, err := s.pool.Exec(t.Context(), "UPDATE sessions SET records = $1 WHERE id = 'elsewhere'", count); err != nil {
			t.Fatal(err)
		}
		if got := s.call(t, "GET", "/api/v1/compare?laps=elsewhere:2", internal, nil); got.status != want {
			t.Errorf("of a run of %d records: %d %v, want %d", count, got.status, got.body, want)
		}
	}
}

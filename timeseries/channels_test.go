package timeseries_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/expression"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/record"
	"github.com/ecovolt/telemetryd/timeseries/registry"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
	"github.com/ecovolt/telemetryd/timeseries/series"
)

// What never was a channel can be charted, and is listed, once it came: by any
// spelling, beside channels with columns, with and without levels.
func TestChannelsThatCame(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	rng := rand.New(rand.NewPCG(13, 1))
	start := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	type sum struct {
		n         int64
		low, high float64
	}
	want := map[string]*sum{"battery_temp_c": {0, math.Inf(1), math.Inf(-1)}, "tyre_fl": {0, math.Inf(1), math.Inf(-1)}, "pump_on": {0, math.Inf(1), math.Inf(-1)}}
	note := func(name string, v float64) {
		s := want[name]
		s.n, s.low, s.high = s.n+1, min(s.low, v), max(s.high, v)
	}
	const n = 6000
	var records []rec
	for i := range n {
		r := rec{"session_id": "race", "timestamp": record.FormatTime(start.Add(time.Duration(i) * 200 * time.Millisecond)), "speed_ms": 5.0}
		if i > n/3 { // it is fitted while the car drives
			v := math.Round(rng.NormFloat64()*1000) / 100
			r["battery_temp_c"] = v
			note("battery_temp_c", v)
		}
		if i%10 == 0 {
			v := rng.Float64() * 3
			r[`Tyre "FL"`], r["tyre_fl"] = v, 99
			note("tyre_fl", v)
		}
		if i%2 == 0 {
			r["pump_on"] = i%4 == 0
			note("pump_on", map[bool]float64{true: 1, false: 0}[i%4 == 0])
		}
		r["Gear (1/2)"] = []string{"low", "high"}[i/1000%2]
		r["cells"] = []float64{1, 2}
		r["session"] = 7
		records = append(records, r)
	}
	for i := 0; i < n; i += 1000 {
		h.insert(records[i : i+1000]...)
		if i%2000 == 0 {
			h.refresh()
		}
	}
	h.refresh()
	h.refresh()
	held, others, err := h.store.SessionChannels(t.Context(), "race")
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, c := range held {
		got[c.Name] = c.Kind + " " + c.Unit
		if s, ok := want[c.Name]; ok && (*c.Records != s.n || *c.Min != s.low || *c.Max != s.high) {
			t.Errorf("%s: %d records from %v to %v, want %+v", c.Name, *c.Records, *c.Min, *c.Max, *s)
		}
		if c.Name == "battery_temp_c" && !c.First.Equal(start.Add((n/3+1)*200*time.Millisecond)) {
			t.Errorf("battery_temp_c begins at %v", c.First)
		}
		if c.Name == "speed_ms" && (*c.Records != n || !c.First.Equal(start) || !c.Last.Equal(start.Add((n-1)*200*time.Millisecond)) || *c.Min != 5) {
			t.Errorf("speed_ms: %+v", c)
		}
	}
	if diff := cmp.Diff(map[string]string{
		"speed_ms": "contract m/s", "battery_temp_c": "seen degC", "tyre_fl": "seen ", "pump_on": "seen ", "gear_1_2": "seen ",
	}, got); diff != "" {
		t.Errorf("channels (-want +got)\n%s", diff)
	}
	reasons := map[string]string{}
	for _, o := range others {
		reasons[o.Member.Member] = o.Why
	}
	if diff := cmp.Diff(map[string]string{
		"cells": "it is neither a number, nor a boolean or a text", "session": `"session" is the name of something else in a record`,
		"tyre_fl": `its name would be "tyre_fl", which "Tyre \"FL\"" has`,
	}, reasons); diff != "" {
		t.Errorf("others (-want +got)\n%s", diff)
	}

	for _, mode := range []series.Mode{series.ModeMinMax, series.ModeM4} {
		for _, points := range []int{20, 300, 10_000} {
			req := series.Request{Sessions: []string{"race"}, Metrics: []string{"speed_ms", "battery_temp_c", "tyre_fl", "pump_on"}, Points: points, Mode: mode}
			if mode == series.ModeMinMax {
				req.Metrics = append(req.Metrics, "gear_1_2")
			}
			answer, err := h.store.Series.Read(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range answer.Sessions[0].Metrics {
				s, ok := want[m.Name]
				if !ok {
					continue
				}
				found := sum{0, math.Inf(1), math.Inf(-1)}
				for i, count := range m.Count {
					if count > 0 {
						found = sum{found.n + count, min(found.low, m.Min[i]), max(found.high, m.Max[i])}
					}
				}
				if found != *s {
					t.Errorf("%v of %d points: %s has %+v, want %+v", mode, points, m.Name, found, *s)
				}
			}
		}
	}
}

// Counting batch by batch gives what counting all of it does, whatever becomes of
// the records.
func TestMembersAreCounted(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	rng := rand.New(rand.NewPCG(13, 2))
	start := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	values := []any{
		1, 2.5, true, false, "text", nil, []int{1}, map[string]int{"a": 1}, 1e-310, "1", -0.25, 0, 1e200, -1e100, 12345678.901234567, -9007199254740993,
		`} " \`, map[string]any{"}": []string{`"]`, `\"`}},
	}
	names := []string{"member", `a "quoted" one`, `back\slash`, "Müll", "x"}
	for i := range 12 {
		if i == 6 {
			h.refresh()
			h.compress()
		}
		var records []rec
		for range 1 + rng.IntN(50) {
			r := rec{"session_id": fmt.Sprint("run ", rng.IntN(3)), "timestamp": record.FormatTime(start.Add(time.Duration(rng.IntN(1e9)) * time.Microsecond))}
			for k := range rng.IntN(4) {
				r[names[(k+rng.IntN(2))%len(names)]] = values[rng.IntN(len(values))]
				r["digits"] = json.Number(strconv.FormatFloat(rng.NormFloat64(), 'f', rng.IntN(20), 64))
			}
			records = append(records, r)
		}
		h.insert(records...)
		if rng.IntN(2) == 0 {
			h.refresh()
		}
	}
	h.refresh()
	check := func(when string) {
		t.Helper()
		const all = `
			SELECT count(*) FROM (
				(SELECT session, member, records, numbers, texts, first_time, last_time, low, high FROM session_members
				 EXCEPT SELECT * FROM counted)
				UNION ALL
				(SELECT * FROM counted EXCEPT
				 SELECT session, member, records, numbers, texts, first_time, last_time, low, high FROM session_members)) d`
		counted := `WITH counted AS (
			SELECT t.session, m.key, count(*), count(n), count(*) FILTER (WHERE jsonb_typeof(m.value) = 'string'), min(t.time), max(t.time), min(n), max(n)
			FROM telemetry t CROSS JOIN LATERAL jsonb_each(record_members(t.numbers, t.extra)) m CROSS JOIN LATERAL channel_number(m.value) n
			WHERE jsonb_typeof(m.value) <> 'null' GROUP BY 1, 2)`
		if n := h.count(counted + all); n != 0 {
			t.Errorf("%s: %d rows differ from what the records have", when, n)
		}
	}
	check("as it came")
	if n := h.count("SELECT count(*) FROM session_members"); n == 0 {
		t.Fatal("nothing was counted")
	}
	if _, err := h.store.DeleteSession(t.Context(), "run 1"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.store.PurgeDeleted(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.refresh()
	check("after one run went")
}

// Analysts ask for what came by its name, from a view that others are built on, and
// read what is said of it.
func TestAnalystsSeeMembers(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	at := func(second int, more rec) rec {
		r := rec{"session_id": "s", "timestamp": record.FormatTime(raceStart.Add(time.Duration(second) * time.Second))}
		for name, v := range more {
			r[name] = v
		}
		return r
	}
	h.insert(at(0, rec{"Tyre FL": 2.5, `o'il \ state`: "low"}))
	h.refresh()
	if _, err := h.pool.Exec(t.Context(), "CREATE VIEW analytics.tyres AS SELECT time, tyre_fl FROM analytics.records"); err != nil {
		t.Fatal(err)
	}
	h.insert(at(1, rec{"Tyre FL": 3.5, "pump_v": 12}))
	h.refresh()
	if n := h.count("SELECT count(*) FROM analytics.records r JOIN analytics.tyres USING (time) WHERE r.tyre_fl = 2.5 AND o_il_state = 'low' OR pump_v = 12"); n != 2 {
		t.Errorf("%d of 2 records have what came", n)
	}
	describe := func(want map[string]string) {
		t.Helper()
		for name, text := range want {
			if h.count("SELECT count(*) FROM pg_attribute WHERE attrelid = 'analytics.records'::regclass AND attname = $1 AND col_description(attrelid, attnum) = $2", name, text) != 1 {
				t.Errorf("the comment of %s is not %q", name, text)
			}
		}
	}
	describe(map[string]string{"tyre_fl": `"Tyre FL" of the records`, "o_il_state": `"o'il \ state" of the records`, "pump_v": `"pump_v" of the records, V`})
	if _, err := h.store.Channels.Put(t.Context(), "", "tyre_fl", registry.Definition{Unit: "bar", Meaning: "Front left"}); err != nil {
		t.Fatal(err)
	}
	h.refresh()
	describe(map[string]string{"tyre_fl": "Front left, bar"})
}

// Where records made as many channels as they may, those that somebody declares are had
// all the same.
func TestDeclaredBeyondTheBound(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	if _, err := h.pool.Exec(t.Context(), "INSERT INTO channels (name, kind, type, member) SELECT 'm' || i, 'seen', 'number', 'm' || i FROM generate_series(1, 5000) i"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.store.Channels.Put(t.Context(), "", "oil_c", registry.Definition{}); err != nil {
		t.Fatal(err)
	}
	h.insert(rec{"session_id": "s", "timestamp": record.FormatTime(raceStart), "Oil C": 80, "other": 1})
	h.refresh()
	if h.count("SELECT count(*) FROM channels WHERE name = 'oil_c' AND member = 'Oil C'") != 1 || h.count("SELECT count(*) FROM channels WHERE name = 'other'") != 0 {
		t.Error("the channel that was declared did not get its member, or the bound does not hold")
	}
}

// Analysts ask for what is made of others by its name as well: views that are built on
// theirs live on when it comes and when it changes, by itself or below.
func TestAnalystsSeeMath(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	put := func(name string, d registry.Definition) {
		t.Helper()
		if _, err := h.store.Channels.Put(t.Context(), "", name, d); err != nil {
			t.Fatal(err)
		}
		h.refresh()
	}
	h.insert(rec{"session_id": "s", "timestamp": record.FormatTime(raceStart), "Cell Temp": 20, "voltage_v": 48, "current_a": 2},
		rec{"session_id": "s", "timestamp": record.FormatTime(raceStart.Add(time.Second)), "voltage_v": 48})
	h.refresh()
	if _, err := h.pool.Exec(t.Context(), "CREATE VIEW analytics.built AS SELECT time, cell_temp FROM analytics.records"); err != nil {
		t.Fatal(err)
	}
	expect := func(query string, want ...any) {
		t.Helper()
		rows, err := h.pool.Query(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		got, err := pgx.CollectRows(rows, pgx.RowTo[any])
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got)\n%s", query, err, diff)
		}
	}
	put("pack_w", registry.Definition{Expression: "voltage_v * current_a", Unit: "W", Meaning: "Pack power"})
	put("per_degree", registry.Definition{Expression: "pack_w / cell_temp"})
	if _, err := h.pool.Exec(t.Context(), "CREATE VIEW analytics.power AS SELECT time, pack_w, per_degree FROM analytics.records"); err != nil {
		t.Fatal(err)
	}
	expect("SELECT pack_w FROM analytics.power ORDER BY time", 96.0, nil)
	expect("SELECT per_degree FROM analytics.power ORDER BY time", 4.8, nil)
	comments := "SELECT col_description(attrelid, attnum) FROM pg_attribute WHERE attrelid = 'analytics.records'::regclass AND attname IN ('pack_w', 'per_degree') ORDER BY attnum"
	expect(comments, "Pack power, W: voltage_v * current_a", "Made of others: pack_w / cell_temp")
	put("pack_w", registry.Definition{Expression: "voltage_v + current_a", Unit: "W"})
	expect("SELECT per_degree FROM analytics.power ORDER BY time", 2.5, nil)
	expect(comments, "Made of others, W: voltage_v + current_a", "Made of others: pack_w / cell_temp")
	h.insert(rec{"session_id": "s", "timestamp": record.FormatTime(raceStart.Add(2 * time.Second)), "Tyre FL": 3})
	h.refresh()
	expect("SELECT tyre_fl FROM analytics.records LEFT JOIN analytics.built USING (time) ORDER BY time", nil, nil, 3.0)
	// A row does not know the records before it: no column, or an empty one.
	put("slope", registry.Definition{Expression: "rate(voltage_v)"})
	expect("SELECT attname::text FROM pg_attribute WHERE attrelid = 'analytics.records'::regclass AND attname = 'slope'", []any{}...)
	put("per_degree", registry.Definition{Expression: "pack_w / cell_temp + slope"})
	expect("SELECT per_degree FROM analytics.power ORDER BY time", nil, nil, nil)
	var due bool
	err := h.pool.AcquireFunc(t.Context(), func(conn *pgxpool.Conn) (err error) {
		due, err = rollup.MemberColumns{Channels: h.store.Channels}.Due(t.Context(), conn.Conn())
		return err
	})
	if due || err != nil {
		t.Errorf("there is something left to do: %v, %v", due, err)
	}
}

// What people say of channels is kept, and what makes no sense is refused by name.
func TestEditingChannels(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	limit := func(v float64) *float64 { return &v }
	put := func(name string, d registry.Definition) error {
		_, err := h.store.Channels.Put(t.Context(), "", name, d)
		return err
	}
	for name, c := range map[string]struct {
		d    registry.Definition
		fail string
	}{
		"battery_temp_c": {registry.Definition{Unit: "degC", Meaning: "Hottest cell", About: registry.About{Display: "Battery", Aliases: []string{"batt"}, WarnHigh: limit(45), AlarmHigh: limit(55), Colour: "#ff0000"}}, ""},
		"Battery":        {registry.Definition{}, `"battery" would do`},
		"a__b":           {registry.Definition{}, `"a_b" would do`},
		"":               {registry.Definition{}, "twice in a row$"},
		"session_id":     {registry.Definition{}, `field name: "session_id" is the name of something else`},
		"bucket":         {registry.Definition{}, "something else"},
		"x1":             {registry.Definition{About: registry.About{WarnHigh: limit(5), AlarmHigh: limit(4)}}, "alarm_high"},
		"x2":             {registry.Definition{Type: "json"}, "type"},
		"x3":             {registry.Definition{About: registry.About{Colour: "red"}}, "colour"},
		"x4":             {registry.Definition{About: registry.About{Aliases: []string{"speed_ms"}}}, "speed_ms already"},
		"x7":             {registry.Definition{About: registry.About{Aliases: []string{"timestamp"}}}, `field aliases: "timestamp" is the name of something else`},
		"x5":             {registry.Definition{Unit: "\x00"}, "unit: holds a NUL"},
		"x6":             {registry.Definition{About: registry.About{Aliases: []string{"a\x00"}}}, "aliases: holds a NUL"},
		"x8":             {registry.Definition{Unit: "V\nA"}, "unit: must not hold control characters"},
		"x9":             {registry.Definition{About: registry.About{Display: "\x1b[31m"}}, "display: must not hold control characters"},
		"speed_ms":       {registry.Definition{About: registry.About{Display: "Speed"}}, ""},
		"voltage_v":      {registry.Definition{Unit: "mV"}, "function contract"},
	} {
		if err := put(name, c.d); (err == nil) != (c.fail == "") || err != nil && !regexp.MustCompile(c.fail).MatchString(err.Error()) {
			t.Errorf("%s: %v, want %q", name, err, c.fail)
		}
	}
	twice := []registry.Named{{Name: "twice", Definition: registry.Definition{Unit: "V"}}, {Name: "other"}, {Name: "twice", Definition: registry.Definition{Unit: "A"}}}
	if err := h.store.Channels.PutAll(t.Context(), "", twice, func(i int) string { return fmt.Sprint("line ", i) }); err == nil || !strings.Contains(err.Error(), `line 2: invalid input: field name: "twice" is said before`) {
		t.Errorf("a channel that is said twice: %v", err)
	}
	set, err := h.store.Channels.Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"battery_temp_c", "batt"} {
		c, ok := set.Find(name)
		want := registry.About{Display: "Battery", Aliases: []string{"batt"}, WarnHigh: limit(45), AlarmHigh: limit(55), Colour: "#ff0000"}
		if diff := cmp.Diff(want, c.About, cmpopts.EquateEmpty()); !ok || diff != "" || c.Kind != "declared" {
			t.Errorf("%s: %v %s\n%s", name, ok, c.Kind, diff)
		}
	}
	if c, _ := set.Find("speed_ms"); c.Unit != "m/s" || c.Display != "Speed" || c.Kind != "contract" {
		t.Errorf("speed_ms is %+v", c)
	}
	for _, name := range []string{"message_id", "outliers", "battery_temp_c"} { // put again as it is
		c, _ := set.Find(name)
		if err := put(name, c.Definition()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A declared one is what comes under its name, however that is spelt.
	h.insert(rec{"session_id": "s", "timestamp": "2026-05-01T10:00:00Z", "Battery Temp C": 20.5})
	h.refresh()
	held, _, err := h.store.SessionChannels(t.Context(), "s")
	if err != nil || len(held) != 1 || held[0].Name != "battery_temp_c" || held[0].Meaning != "Hottest cell" || *held[0].Max != 20.5 {
		t.Errorf("the run has %+v, %v", held, err)
	}
	if err := h.store.Channels.Hide(t.Context(), "battery_temp_c"); err != nil {
		t.Error(err)
	}
	if err := h.store.Channels.Hide(t.Context(), "nothing"); err == nil {
		t.Error("a channel that is none is hidden")
	}
	set, _ = h.store.Channels.Current(t.Context())
	if c, ok := set.Find("battery_temp_c"); !ok || !c.Hidden {
		t.Errorf("it is not hidden: %+v", c)
	}
}

// What is made of others is at every zoom what it is of each record: lowest, highest
// and count by series, and value by value in records and CSV.
func TestMathChannels(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	rng := rand.New(rand.NewPCG(13, 3))
	start := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	put := func(name, text string) error {
		_, err := h.store.Channels.Put(t.Context(), "", name, registry.Definition{Expression: text, Unit: "W"})
		return err
	}
	odd := []float64{0, -1, 1e-200, 1e90, -1e90, 3}
	var records []rec
	type values map[string]float64
	var all []values
	for i := range 3000 {
		r, v := rec{"session_id": "run", "timestamp": record.FormatTime(start.Add(time.Duration(i) * 100 * time.Millisecond))}, values{}
		for member, name := range map[string]string{"voltage_v": "voltage_v", "current_a": "current_a", "Cell Temp": "cell_temp"} {
			switch rng.IntN(8) {
			case 0:
				continue
			case 1:
				v[name] = odd[rng.IntN(len(odd))]
			default:
				v[name] = rng.NormFloat64() * 50
			}
			r[member] = v[name]
		}
		records, all = append(records, r), append(all, v)
	}
	h.insert(records[:2000]...)
	h.refresh()
	h.refresh()
	lookup := func(name string) (string, bool) {
		text, ok := map[string]string{"voltage_v": "", "current_a": "", "cell_temp": "", "pack_w": "voltage_v * current_a"}[name]
		return text, ok
	}
	texts := map[string]string{
		"pack_w":    "voltage_v * current_a",
		"per_watt":  "cell_temp / pack_w",
		"hot":       "if(cell_temp > 40 && voltage_v > 0, 1, 0)",
		"root_cell": "sqrt(cell_temp) + ln(current_a)",
	}
	for _, name := range []string{"pack_w", "per_watt", "hot", "root_cell"} {
		if err := put(name, texts[name]); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	h.insert(records[2000:]...) // late data is in it at once
	want := func(name string, v values) (float64, bool) {
		e, err := expression.Parse(name, texts[name], lookup)
		if err != nil {
			t.Fatal(err)
		}
		names := e.Channels()
		return e.Eval(func(i int) (float64, bool) { x, ok := v[names[i]]; return x, ok })
	}
	close := func(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b)) }
	for name := range texts {
		low, high, n := math.Inf(1), math.Inf(-1), int64(0)
		for _, v := range all {
			if x, ok := want(name, v); ok {
				low, high, n = min(low, x), max(high, x), n+1
			}
		}
		for _, mode := range []series.Mode{series.ModeMinMax, series.ModeM4} {
			for _, points := range []int{7, 200, 5000} {
				answer, err := h.store.Series.Read(t.Context(), series.Request{Sessions: []string{"run"}, Metrics: []string{"voltage_v", name}, Points: points, Mode: mode})
				if err != nil {
					t.Fatal(err)
				}
				m := answer.Sessions[0].Metrics[1]
				gotLow, gotHigh, got := math.Inf(1), math.Inf(-1), int64(0)
				for i, count := range m.Count {
					if count > 0 {
						gotLow, gotHigh, got = min(gotLow, m.Min[i]), max(gotHigh, m.Max[i]), got+count
					}
				}
				if got != n || !close(gotLow, low) || !close(gotHigh, high) {
					t.Errorf("%s, %v of %d points: %d from %v to %v, want %d from %v to %v", name, mode, points, got, gotLow, gotHigh, n, low, high)
				}
			}
		}
		for i, r := range h.read(timeseries.RecordQuery{SessionID: "run", Fields: []string{name, "voltage_v"}}) {
			x, ok := want(name, all[i])
			got, has := r[name].(float64)
			if has != ok || ok && !close(got, x) {
				t.Fatalf("%s of record %d is %v, want %v, %v", name, i, r[name], x, ok)
			}
		}
	}
	held, _, err := h.store.SessionChannels(t.Context(), "run")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, c := range held {
		if texts[c.Name] != "" && c.Kind == "math" {
			found++
		}
	}
	if found != len(texts) {
		t.Errorf("the run has %d math channels, want %d", found, len(texts))
	}
	for name, c := range map[string]struct{ name, text, fail string }{
		"a circle":          {"pack_w", "per_watt * 2", "per_watt"},
		"no such channel":   {"x1", "nothing + 1", "nothing"},
		"no expression":     {"x2", "1 +", "expression"},
		"a contract's name": {"speed_ms", "voltage_v", "not made of others"},
		"what came":         {"cell_temp", "voltage_v", "not made of others"},
		"no text":           {"x3", "motion_state + 1", "motion_state"},
	} {
		if err := put(c.name, c.text); err == nil || !strings.Contains(err.Error(), c.fail) {
			t.Errorf("%s: %v, want %q", name, err, c.fail)
		}
	}
	texts["pack_w"] = "voltage_v + current_a"
	if err := put("pack_w", texts["pack_w"]); err != nil {
		t.Fatal(err)
	}
	answer, err := h.store.Series.Read(t.Context(), series.Request{Sessions: []string{"run"}, Metrics: []string{"voltage_v", "pack_w"}, Points: 1})
	if err != nil {
		t.Fatal(err)
	}
	high := math.Inf(-1)
	for _, v := range all {
		if x, ok := want("pack_w", v); ok {
			high = max(high, x)
		}
	}
	if got := answer.Sessions[0].Metrics[1].Max[0]; !close(got, high) {
		t.Errorf("the new expression's highest value is %v, want %v", got, high)
	}
}

// What others are made of stays a number, however far below them it is.
func TestWhatMathIsMadeOf(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	put := func(name string, d registry.Definition) error {
		_, err := h.store.Channels.Put(t.Context(), "", name, d)
		return err
	}
	for _, n := range []registry.Named{{Name: "planned"}, {Name: "twice", Definition: registry.Definition{Expression: "planned * 2"}}, {Name: "more", Definition: registry.Definition{Expression: "twice + 1"}}} {
		if err := put(n.Name, n.Definition); err != nil {
			t.Fatal(err)
		}
	}
	err := put("planned", registry.Definition{Type: "text"})
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "field type: planned is a number to what is made of it: more, twice") {
		t.Errorf("to make a text of it: %v", err)
	}
	// What is compiled is kept only while it means the same.
	check := func(want string) {
		t.Helper()
		set, err := h.store.Channels.Current(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if c, _ := set.Find("more"); c.Formula == nil || c.Formula.Text != want {
			t.Errorf("it is %+v, want %s", c.Formula, want)
		}
	}
	check("((planned * 2) + 1); planned is " + (&channel.Channel{Member: "planned"}).SQL())
	if err := put("twice", registry.Definition{Expression: "planned + planned"}); err != nil {
		t.Fatal(err)
	}
	check("((planned + planned) + 1); planned is " + (&channel.Channel{Member: "planned"}).SQL())
	h.insert(rec{"session_id": "s", "timestamp": "2026-05-01T10:00:00Z", "Planned": 20.5})
	h.refresh()
	check("((planned + planned) + 1); planned is " + (&channel.Channel{Member: "Planned"}).SQL())
}

// A run of many members, and one of many records, are counted in pieces; what is
// beyond the bound keeps nothing else from being done.
func TestMembersAreBounded(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: they are counted in plain tables")
	h := newServer(t)
	start := time.Date(2026, 5, 1, 10, 0, 0, 0, time.UTC)
	var lines strings.Builder
	for i := range 12_000 {
		fmt.Fprintf(&lines, `{"session_id":"long","timestamp":%q,"cell_%d_v":%d}`+"\n", record.FormatTime(start.Add(time.Duration(i)*time.Second)), i%3, i)
	}
	if _, err := h.stream(decode.FormatJSON, ingest.Options{}, lines.String()); err != nil {
		t.Fatal(err)
	}
	var flood []rec
	for i := range 10 {
		r := rec{"session_id": "flood", "timestamp": record.FormatTime(start.Add(time.Duration(i) * time.Second)), "speed_ms": 1}
		for k := range 250 {
			r[fmt.Sprintf("x_%d_%d", i, k)] = k
		}
		flood = append(flood, r)
	}
	h.insert(flood...)
	h.insert(rec{"session_id": "flood", "timestamp": record.FormatTime(start.Add(time.Minute)), "x_0_1": 99, "late": 1})
	for h.count("SELECT count(*) FROM sessions s LEFT JOIN member_progress p USING (session) WHERE p.batch IS DISTINCT FROM s.batch") > 0 {
		h.refresh() // each pass takes a bounded turn
	}
	if n := h.count("SELECT count(*) FROM session_members m JOIN sessions s USING (session) WHERE s.id = 'long' AND m.records = 4000 AND numbers = 4000"); n != 3 {
		t.Errorf("%d members of the long run are counted as they should, want 3", n)
	}
	if n := h.count("SELECT count(*) FROM session_members m JOIN sessions s USING (session) WHERE s.id = 'flood'"); n != 2000 {
		t.Errorf("%d members of the flood are counted, want 2000", n)
	}
	if n := h.count("SELECT m.records FROM session_members m JOIN sessions s USING (session) WHERE s.id = 'flood' AND member = 'x_0_1'"); n != 2 {
		t.Errorf("a known member is counted %d times, want 2", n)
	}
	if n := h.count("SELECT count(*) FROM member_progress p JOIN sessions s USING (session) WHERE p.batch = s.batch"); n != 2 {
		t.Errorf("%d runs are counted to their end, want 2", n)
	}
	if n := h.count("SELECT count(*) FROM session_summaries"); n != 2 {
		t.Errorf("%d runs are summarised, want 2", n)
	}
}

// One long text does not stand in full for each of the points that carry it on.
func TestLongTextsAsStates(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	for _, r := range []rec{{"timestamp": "2026-05-01T10:00:00Z", "note": strings.Repeat("é", 30_000)}, {"timestamp": "2026-05-01T11:00:00Z", "note": "short"}} {
		r["session_id"] = "s"
		h.insert(r)
	}
	h.refresh()
	for _, points := range []int{3000, 1} {
		answer, err := h.store.Series.Read(t.Context(), series.Request{Sessions: []string{"s"}, Metrics: []string{"note"}, Points: points, Fill: series.FillLOCF})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(answer.JSON()); n > 2_000_000 {
			t.Errorf("%d points have %d bytes", points, n)
		}
		states := answer.Sessions[0].States[0].Last
		if points > 1 && (!strings.HasPrefix(states[0], "éé") || !strings.HasSuffix(states[0], "é…")) || states[len(states)-1] != "short" {
			t.Errorf("the states are %q ... %q", states[0], states[len(states)-1])
		}
	}
}

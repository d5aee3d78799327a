package api_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/api"
	"github.com/ecovolt/telemetryd/auth"
	"github.com/ecovolt/telemetryd/internal/request"
	"github.com/ecovolt/telemetryd/internal/simulate"
	"github.com/ecovolt/telemetryd/timeseries/channel/unit"
)

// sheet is a brief as a reader takes it apart.
type sheet struct {
	text    string
	outline []string             // headings, and heads of tiles and tables
	figures map[string][]float64 // exact values by name, in order
	links   []string
}

// parts are what a brief is made of; nothing in it runs, loads or sends.
var parts = map[string]string{
	"html": "lang", "head": "", "meta": "charset name content", "title": "", "style": "", "body": "", "header": "", "main": "", "footer": "",
	"section": "aria-label", "h1": "dir", "h2": "", "p": "class", "div": "class", "dl": "class", "dt": "", "dd": "dir", "b": "", "bdi": "", "a": "href",
	"data": "class value", "table": "", "thead": "", "tbody": "", "tr": "", "th": "scope colspan", "td": "class", "ul": "", "li": "", "span": "class dir",
	"figure": "class", "figcaption": "", "svg": "viewBox role aria-label aria-hidden", "path": "class d", "rect": "class x y width height rx",
	"circle": "class cx cy r", "text": "x y text-anchor",
}

func (s site) brief(t *testing.T, path, who string) sheet {
	t.Helper()
	status, header, text := request.Send(t, "GET", s.url+path, "", "Authorization", who)
	if status != http.StatusOK || header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("GET %s: %d %s %.300s", path, status, header.Get("Content-Type"), text)
	}
	policy := header.Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none'; style-src 'sha256-") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
	if len(text) > 200_000 {
		t.Errorf("%s has %d bytes", path, len(text))
	}
	out := sheet{text: text, figures: map[string][]float64{}}
	d := xml.NewDecoder(strings.NewReader(text))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	var open []string
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		switch n := token.(type) {
		case xml.StartElement:
			allowed, known := parts[n.Name.Local]
			if !known {
				t.Errorf("the page holds <%s>", n.Name.Local)
			}
			attributes := map[string]string{}
			for _, a := range n.Attr {
				attributes[a.Name.Local] = a.Value
				if !slices.Contains(strings.Fields(allowed), a.Name.Local) {
					t.Errorf("<%s> has %s=%q", n.Name.Local, a.Name.Local, a.Value)
				}
			}
			if href, ok := attributes["href"]; ok {
				if !strings.HasPrefix(href, s.url+"/runs/") && !strings.HasPrefix(href, s.url+"/compare?") {
					t.Errorf("a link leads to %s", href)
				}
				out.links = append(out.links, href)
			}
			if v, err := strconv.ParseFloat(attributes["value"], 64); err == nil {
				out.figures[attributes["class"]] = append(out.figures[attributes["class"]], v)
			}
			open = append(open, n.Name.Local)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			in, said := open[max(0, len(open)-1):], strings.TrimSpace(string(n))
			if said != "" && slices.Contains([]string{"h2", "dt", "th"}, strings.Join(in, "")) {
				out.outline = append(out.outline, said)
			}
			if strings.ContainsAny(said, "\u202e\u2066") && !slices.Contains([]string{"bdi", "title"}, strings.Join(in, "")) {
				t.Errorf("%q may turn the text around it: it is in <%s>", said, strings.Join(in, ""))
			}
		}
	}
	return out
}

// A brief has the figures of REST, in the units that one asks for, and its links lead
// to the laps that it names.
func TestBriefHasTheFiguresOfREST(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	who := s.as(t, auth.Internal)
	list, _, _ := driven{id: "a run:1", quick: []float64{1, 1.1, 0.9}, power: []float64{1, 1.2, 0.8}}.drive()
	for i, r := range list {
		r["driver_mode"] = []string{"eco", "sport"}[i/200%2]
	}
	if got := s.call(t, "POST", "/api/v1/telemetry", "Bearer ingest|key:1", list); got.status != 200 {
		t.Fatalf("ingest: %+v", got)
	}
	path := "/api/v1/sessions/a%20run%3A1"
	get := func(rest string) object {
		t.Helper()
		got := s.call(t, "GET", path+rest, who, nil)
		if got.status != 200 {
			t.Fatalf("%s: %+v", rest, got)
		}
		return got.body
	}
	summary, run, laps := get("/summary"), get(""), get("/laps")
	for _, system := range []unit.System{"", unit.Metric, unit.SI} {
		address := path + "/brief"
		if system != "" {
			address += "?units=" + string(system)
		}
		b := s.brief(t, address, who)
		same := func(name string, place int, want any, stored string) {
			t.Helper()
			value, ok := want.(float64)
			if u, other := system.Shown(stored); other {
				value, name = u.Of(value), strings.NewReplacer("_wh", "_j", "_kmh", "_ms").Replace(name)
			}
			if got := b.figures[name]; !ok || place >= len(got) || math.Abs(got[place]-value) > 1e-12*math.Abs(value) {
				t.Errorf("%q: %s is %v, want %v in place %d", system, name, got, want, place)
			}
		}
		for name, stored := range map[string]string{"distance_km": "km", "energy_wh": "Wh", "efficiency_km_kwh": "", "avg_speed_kmh": "km/h", "max_speed_kmh": "km/h", "avg_power_w": "W", "max_power_w": "W"} {
			same(name, 0, summary[name], stored)
		}
		same("duration_s", 0, run["duration_s"], "")
		same("stops", 0, float64(len(laps["stops"].([]any))), "")
		same("theoretical_s", 0, laps["best"].(object)["theoretical_s"], "")
		// The quickest lap comes first; its link shows it.
		best, start := laps["best"].(object)["lap"].(float64), moment(t, run["start_time"])
		lap := laps["laps"].([]any)[int(best)-1].(object)
		for name, stored := range map[string]string{"seconds": "", "distance_m": ""} {
			place := slices.Index(b.figures[name], lap[name].(float64))
			if place < 0 {
				t.Errorf("%s %v of the best lap is not among %v", name, lap[name], b.figures[name])
			} else {
				same(name, place, lap[name], stored)
			}
		}
		want := fmt.Sprintf("%s/runs/a%%20run:1?from=%.3f&to=%.3f", s.url, moment(t, lap["from"]).Sub(start).Seconds(), moment(t, lap["to"]).Sub(start).Seconds())
		if !slices.Contains(b.links, want) {
			t.Errorf("no link %s in %q", want, b.links)
		}
		// Where the energy went: each sector has what it took all laps.
		sums, times := map[float64]float64{}, map[float64][]float64{}
		for _, lap := range laps["laps"].([]any) {
			for _, part := range lap.(object)["sectors"].([]any) {
				n := part.(object)["sector"].(float64)
				sums[n] += part.(object)["energy_wh"].(float64)
				times[n] = append(times[n], part.(object)["seconds"].(float64))
			}
		}
		if len(sums) < 3 {
			t.Fatalf("sectors: %v", sums)
		}
		rows := len(b.figures["coasting"])
		for n, energy := range sums {
			same("energy_wh", 1+rows+int(n)-1, energy, "Wh")
		}
		for i, one := range laps["sectors"].([]any) {
			spread := one.(object)["spread_s"]
			same("spread_s", i, spread, "")
			mean, square := 0.0, 0.0
			for _, v := range times[float64(i+1)] {
				mean += v / float64(len(times[float64(i+1)]))
			}
			for _, v := range times[float64(i+1)] {
				square += (v - mean) * (v - mean) / float64(len(times[float64(i+1)])-1)
			}
			if math.Abs(spread.(float64)-math.Sqrt(square)) > 1e-6 {
				t.Errorf("sector %d varies by %v s, want %v", i+1, spread, math.Sqrt(square))
			}
		}
		motion, modes := laps["motion"].([]any), laps["driver_modes"].([]any)
		if len(motion) < 2 {
			t.Errorf("ways of moving: %v", motion)
		}
		for i, m := range append(motion, modes...) {
			same("energy_wh", 1+rows+len(sums)+i, m.(object)["energy_wh"], "Wh")
		}
		if len(modes) != 2 {
			t.Errorf("%d driver modes", len(modes))
		}
	}
	if got, want := strings.Join(s.brief(t, path+"/brief", who).outline, "; "), strings.Join([]string{
		"Distance; Energy; Efficiency; Time; Mean speed; Top speed; Mean power; Peak power; Climb; Stops; Gaps; Data quality; The run",
		"Laps; Lap; Time; Distance, m; Energy, Wh; km/kWh; Mean km/h; Top km/h; Coasting, %",
		"Sectors; Sector; Length; Best; Worst; Varies by; Energy of all laps; Share",
		"Where the energy went; While; Time; Efficiency; Energy; Share of energy",
		"Driver modes; Mode; Time; Efficiency; Energy; Share of energy; What deserves attention",
	}, "; "); got != want {
		t.Errorf("the page has\n%s\nwant\n%s", got, want)
	}
}

// What driving took is what REST says of it, and what would save some leads to that part of the
// run; the plan is in the units of the page, too.
func TestBriefSaysWhatDrivingTook(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	who := s.as(t, auth.Internal)
	// The track is that of a run which began elsewhere, so that laps of the other one begin within a sector.
	for i, id := range []string{"elsewhere", "pulse"} {
		var records bytes.Buffer
		if err := simulate.New(simulate.Options{Seed: 3, SessionID: id, Noise: 0.2}).WriteNDJSON(&records, 6000); err != nil {
			t.Fatal(err)
		}
		text := strings.Join(strings.SplitAfter(records.String(), "\n")[300*(1-i):], "")
		if got := s.call(t, "POST", "/api/v1/telemetry", "Bearer ingest|key:1", text); got.status != 200 {
			t.Fatalf("ingest: %+v", got)
		}
		if got := s.call(t, "GET", "/api/v1/sessions/"+id+"/laps", who, nil); got.status != 200 || got.body["track"] == nil {
			t.Fatalf("laps: %+v", got)
		}
	}
	energy := s.call(t, "GET", "/api/v1/sessions/pulse/energy", who, nil)
	plan := object{"plan_energy_wh": 60, "plan_laps": 1, "plan_distance_km": 16, "plan_time_s": 2340}
	if got := s.call(t, "PATCH", "/api/v1/sessions/pulse", who, object{"book": plan}); got.status != 200 {
		t.Fatalf("plan: %+v", got)
	}
	b := s.brief(t, "/api/v1/sessions/pulse/brief?units=si", who)
	if want := "216,000 J, 1 lap, 16.00 km, 39 min 00 s"; !strings.Contains(b.text, want) {
		t.Errorf("the plan is not %q in\n%s", want, b.text)
	}
	goal := s.call(t, "GET", "/api/v1/sessions/pulse/pace", who, nil).body["goal"].(object)
	at, margin := moment(t, goal["at"]).Format("15:04:05"), goal["energy_margin_wh"].(float64)*3600
	if want := fmt.Sprintf("goal reached at %s, %.0f", at, margin/1000); goal["reached"] != true || margin < 1e5 || !strings.Contains(b.text, want) || !strings.Contains(b.text, " J left, ") {
		t.Errorf("what came of the plan is not %q in\n%s", want, b.text)
	}
	run, score := energy.body["run"].(object), energy.body["score"].(object)
	var want []float64
	for _, term := range run["terms"].([]any) {
		want = append(want, 3600*term.(object)["energy_wh"].(float64))
	}
	want = append(want, 3600*run["standing_wh"].(float64), 3600*run["rest_wh"].(float64))
	near := func(a, b float64) bool { return math.Abs(a-b) < 1e-9*math.Abs(b)+1e-9 }
	if got := b.figures["taken_j"]; len(got) != len(want) || !slices.EqualFunc(got, want, near) {
		t.Errorf("the brief has %v, REST %v", got, want)
	}
	for name := range b.figures {
		if strings.HasSuffix(name, "_wh") || strings.HasSuffix(name, "_kmh") {
			t.Errorf("in SI, %s has %v", name, b.figures[name])
		}
	}
	if got := b.figures["score"]; len(got) != 1 || !near(got[0], score["percent"].(float64)) {
		t.Errorf("the brief's score is %v, that of REST %v", got, score)
	}
	advice, start := energy.body["advice"].([]any), moment(t, s.call(t, "GET", "/api/v1/sessions/pulse", who, nil).body["start_time"]).Truncate(time.Millisecond)
	if len(advice) == 0 {
		t.Fatal("no advice")
	}
	most := advice[0].(object)
	if link := fmt.Sprintf("%s/runs/pulse?from=%.3f&to=%.3f", s.url, moment(t, most["from"]).Sub(start).Seconds(), moment(t, most["to"]).Sub(start).Seconds()); !slices.Contains(b.links, link) {
		t.Errorf("no link %s in %q", link, b.links)
	}
	// So does the link of who was quickest through a sector; of one in which laps begin, with both its parts.
	parted := 0
	for _, one := range s.call(t, "GET", "/api/v1/sessions/pulse/laps", who, nil).body["laps"].([]any) {
		for _, part := range one.(object)["sectors"].([]any) {
			from, to, took := moment(t, part.(object)["from"]), moment(t, part.(object)["to"]), part.(object)["seconds"].(float64)
			link := func() string {
				return fmt.Sprintf("%s/runs/pulse?from=%.3f&to=%.3f", s.url, from.Sub(start).Seconds(), to.Sub(start).Seconds())
			}
			if to.Sub(from).Seconds() < took-1e-3 {
				if slices.Contains(b.links, link()) {
					t.Errorf("the link %s leads to a part of a sector of %v s", link(), took)
				}
				from, parted = moment(t, one.(object)["from"]), parted+1
			}
			if part.(object)["time_rank"] == 1.0 && !slices.Contains(b.links, link()) {
				t.Errorf("no link %s to a sector of %v s in %q", link(), took, b.links)
			}
		}
	}
	if parted == 0 {
		t.Error("no lap begins within a sector")
	}
	// A lap from standing has energy in the speed that it ended with: the brief names laps without that, and a
	// comparison says by how much quicker it ended, in the units that one asks for.
	if !strings.Contains(b.text, "Without the speed that was taken along over the line, lap ") {
		t.Errorf("the brief says nothing of the speed over the line:\n%s", b.text)
	}
	for units, want := range map[string]string{"": " m/s quicker", "&units=metric": " km/h quicker", "&units=si": " m/s quicker"} {
		laps := s.call(t, "GET", "/api/v1/compare?laps=pulse:1,pulse:2"+units, who, nil).body["laps"].([]any)
		if from, text := laps[0].(object)["from_ms"].(float64), laps[1].(object)["summary"].(string); from > 3 || !strings.Contains(text, ", the first one ") || !strings.Contains(text, want) {
			t.Errorf("%q: %q of a lap that began at %v m/s", units, text, from)
		}
	}
}

func moment(t *testing.T, text any) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(text))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// Whatever a run has or lacks, its brief is a page; whatever people and cars write is
// text in it.
func TestBriefOfOddRuns(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	who := s.as(t, auth.Internal)
	hostile := "</title></style></svg>\" onload=\"x\" '{{.}}<script>alert(1)</script><img src=//evil.example>\u202e\u2066\U0001f3c1"
	many := map[string]string{"<b onload>\u202e": hostile}
	for i := range 29 {
		many[fmt.Sprint("field", i)] = strings.Repeat("é<", 250)
	}
	for _, tc := range []struct {
		name    string
		records []object
		want    string // of the page's text
		not     string
	}{
		{"stands", []object{{"timestamp": "2026-06-03T10:00:00Z", "speed_ms": 0}, {"timestamp": "2026-06-03T10:00:01Z", "speed_ms": 0}}, "the car did not drive", "Sectors"},
		{"one record", []object{{"timestamp": "2026-06-03T10:00:00Z", "speed_ms": 3, "latitude": 48.1, "longitude": 11.5}}, "1 record", "Sectors"},
		{"no speed", []object{{"timestamp": "2026-06-03T10:00:00Z", "voltage_v": 48}, {"timestamp": "2026-06-03T10:00:09Z", "voltage_v": 47}}, "The run has no laps", "Speed, km/h"},
		{"straight on", straight(300), "Stints", "Sectors"},
		{"made up", from("MOCK_NORMAL", 300), "all records say by data_source: MOCK_NORMAL; no car measured this", "Counters"},
		{"made up in part", from("simulated", 20), "20 of 300 records say by data_source: simulated; ", "Counters"},
		{"measured", from("ESP32_LIVE", 300), "Nothing that the server knows of", "data_source"},
		{"as far as it went", rounds(1), "3 laps", "Lengths"},
		{"speed of another car", rounds(0.65), "by the car&#39;s speed: one of the two cannot be right", "NaN"},
		{"no fix", append(straight(40), object{"timestamp": "2026-06-03T10:00:40Z", "speed_ms": 10, "latitude": 0, "longitude": 0}), "1 record without a fix: no position, one at 0,0, or one that takes more than 100 m/s", "NaN"},
		{"counter a little off", counted(1.02), "Stints", "Counters"},
		{"counter off", counted(1.1), "grew by &#43;10.0 % against power times time all along: its scale or its clock is off by a factor of 1.100. Believe the figures of this page", "NaN"},
		{"set aside", []object{{"timestamp": "2126-06-03T10:00:00Z", "speed_ms": 3}}, "1 record set aside, since", "Laps"},
		{"far apart", []object{{"timestamp": "2026-06-03T10:00:00Z", "speed_ms": 90, "power_w": -90000}, {"timestamp": "2026-06-03T10:00:01Z", "speed_ms": 0, "power_w": 99999.9}}, "The run has no laps", "NaN"},
		{"hostile", []object{{"timestamp": "2026-06-03T10:00:00Z", "speed_ms": 3, "driver_mode": hostile}, {"timestamp": "2026-06-03T10:01:00Z", "speed_ms": 4, "power_w": 10, "driver_mode": hostile}}, "and 18 further fields", "<img"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			id := strings.ReplaceAll(tc.name, " ", "-")
			for _, r := range tc.records {
				r["session_id"] = id
			}
			if got := s.call(t, "POST", "/api/v1/telemetry", "Bearer ingest|key:1", tc.records); got.status != 200 {
				t.Fatalf("ingest: %+v", got)
			}
			path := "/api/v1/sessions/" + id
			if tc.name == "hostile" {
				book := object{"driver": hostile, "car": hostile, "tyres": hostile, "weather": hostile, "setup": hostile, "tags": []string{"</bdi>\u2069"}, "fields": many}
				if got := s.call(t, "PATCH", path, who, object{"session_name": hostile, "book": book}); got.status != 200 {
					t.Fatalf("book: %+v", got)
				}
				for range 20 {
					if got := s.call(t, "POST", path+"/notes", who, object{"text": strings.Repeat(hostile, 12), "from": "2026-06-03T10:00:30Z"}); got.status != 201 {
						t.Fatalf("note: %+v", got)
					}
				}
			}
			b := s.brief(t, path+"/brief", who)
			if plain := regexp.MustCompile(`<[^>]*>`).ReplaceAllString(b.text, ""); !strings.Contains(plain, tc.want) || strings.Contains(plain[strings.Index(plain, "max-width:600px"):], tc.not) {
				t.Errorf("want %q and not %q in\n%s", tc.want, tc.not, plain[strings.Index(plain, "max-width:600px"):])
			}
		})
	}
	if got := s.call(t, "GET", "/api/v1/sessions/none/brief", who, nil); got.status != 404 {
		t.Errorf("of no run: %+v", got)
	}
}

// What is noted of another day has its date.
func TestBriefSaysOfWhichDayANoteIs(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	who := s.as(t, auth.Internal)
	list := straight(300)
	for _, r := range list {
		r["session_id"] = "day"
	}
	s.upload(t, list)
	for _, at := range []string{"2026-06-03T10:01:00Z", "2026-06-03T21:30:00Z", "2026-06-04T09:00:00Z", "2026-06-02T12:00:00Z"} {
		if got := s.call(t, "POST", "/api/v1/sessions/day/notes", who, object{"text": "x", "from": at}); got.status != 201 {
			t.Fatalf("note: %+v", got)
		}
	}
	text := s.brief(t, "/api/v1/sessions/day/brief?timezone=Europe/Berlin", who).text
	for _, want := range []string{">12:01:00<", ">23:30:00<", ">4 Jun 11:00<", ">2 Jun 14:00<"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

// No line leads over a gap, in the records of a short run and in the buckets of a long
// one.
func TestBriefDrawsGapsAsGaps(t *testing.T) {
	t.Parallel()
	s := open(t, api.Config{})
	who := s.as(t, auth.Internal)
	for id, n := range map[string]int{"short": 100, "long": 5000} {
		list := straight(n)
		for i, r := range list {
			r["session_id"] = id
			if i >= n/2 {
				r["timestamp"] = time.Date(2026, 6, 3, 10, 0, 5*n/4+i, 0, time.UTC).Format(time.RFC3339)
			}
		}
		s.upload(t, list)
		b := s.brief(t, "/api/v1/sessions/"+id+"/brief", who)
		lines := regexp.MustCompile(`class="line" d="M([\d.]+)[^"]*?L([\d.]+) [\d.]+"`).FindAllStringSubmatch(b.text, -1)
		if len(lines) != 4 { // two of speed, two of power
			t.Fatalf("%s: %d lines: %q", id, len(lines), lines)
		}
		for _, l := range lines {
			from, _ := strconv.ParseFloat(l[1], 64)
			to, _ := strconv.ParseFloat(l[2], 64)
			if to-from > 130 { // of 490, of which the gap takes more than a half
				t.Errorf("%s: a line from %v to %v", id, from, to)
			}
		}
	}
}

// from is a run whose first records say where they came from.
func from(source string, records int) []object {
	list := straight(300)
	for _, r := range list[:records] {
		r["data_source"] = source
	}
	return list
}

// rounds is a run of three laps whose sensor of speed says so much of its speed.
func rounds(factor float64) []object {
	list, _, _ := driven{quick: []float64{1, 1, 1}, power: []float64{1, 1, 1}}.drive()
	for _, r := range list {
		r["speed_ms"] = factor * r["speed_ms"].(float64)
	}
	return list
}

// counted is a run whose energy counter grows by so much of what its power does.
func counted(factor float64) []object {
	list := straight(300)
	for i, r := range list {
		r["energy_j"] = 200 * factor * float64(i)
	}
	return list
}

func straight(n int) (list []object) {
	for i := range n {
		at := time.Date(2026, 6, 3, 10, 0, i, 0, time.UTC).Format(time.RFC3339)
		list = append(list, object{"timestamp": at, "speed_ms": 10, "power_w": 200, "latitude": 48.1 + float64(i)*1e-4, "longitude": 11.5})
	}
	return list
}

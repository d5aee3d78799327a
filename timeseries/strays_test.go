package timeseries_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// at makes a record of a time.
func at(session string, t time.Time, id int) rec {
	return rec{"session_id": session, "timestamp": record.FormatTime(t), "message_id": id, "speed_ms": 5.25, "extra_number": id % 3, "outliers": rec{"severity": "none", "x": nil}}
}

// sent is what the model knows of a record.
type sent struct {
	at     time.Time
	record rec
	live   bool // it came from a car while the server's clock said the same
}

// strays is the plain model: the ids of the records that are to be set aside.
func strays(all []sent) []int {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b sent) int { return a.at.Compare(b.at) })
	var groups [][]sent
	for i, r := range all {
		if i == 0 || r.at.Sub(all[i-1].at) > 7*24*time.Hour {
			groups = append(groups, nil)
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], r)
	}
	most := 0
	for _, g := range groups {
		most = max(most, len(g))
	}
	odd := []int{}
	for _, g := range groups {
		if len(g) == most || 10*len(g) >= len(all) || slices.ContainsFunc(g, func(r sent) bool { return r.live }) {
			continue
		}
		for _, r := range g {
			odd = append(odd, r.record["message_id"].(int))
		}
	}
	slices.Sort(odd)
	return odd
}

// Random clusters, in any order, cut in any way, on any way in: what is set
// aside is what the plain model says of all that was sent, nothing is lost, and
// nothing is stored twice.
func TestStraysModel(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: records are judged before they are stored")
	h := newServer(t)
	random := rand.New(rand.NewPCG(14, 11))
	now := time.Now().UTC().Truncate(time.Second)
	for run := range 4 {
		session := fmt.Sprint("run ", run)
		var all []sent
		for id := 0; len(all) < 40+random.IntN(400); {
			// Clusters begin on whole days, so that some touch.
			from := now.AddDate(0, 0, -random.IntN(50))
			for range 1 + random.IntN(1+random.IntN(120)) {
				all = append(all, sent{at: from, record: at(session, from, id)})
				from = from.Add(time.Duration(random.IntN(3600)) * time.Second)
				id++
			}
		}
		all = slices.DeleteFunc(all, func(r sent) bool { return r.at.After(now) })
		if random.IntN(2) == 0 {
			random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		}
		var aside int
		for from := 0; from < len(all); {
			to := min(len(all), from+1+random.IntN(60))
			batch := []rec{}
			for i := from; i < to; i++ {
				batch = append(batch, all[i].record)
			}
			way := random.IntN(3)
			for again := range 2 {
				var result ingest.Result
				var err error
				switch way {
				case 0:
					result, err = h.try(ingest.Options{Source: "function"}, batch)
				case 1:
					result, err = h.stream(decode.FormatJSON, ingest.Options{Source: "rest"}, ndjson(batch))
				default:
					result, err = h.importFrom(t.Context(), ingest.Options{Source: "import"}, strings.NewReader(ndjson(batch)))
				}
				if err != nil || result.Inserted != len(batch)*(1-again) || result.AlreadyStored != len(batch)*again {
					t.Fatalf("%s: %+v, %v", session, result, err)
				}
				aside += result.SetAside
			}
			for i := from; i < to; i++ {
				all[i].live = way < 2 && now.Sub(all[i].at) < 24*time.Hour
			}
			if from = to; random.IntN(4) == 0 || from == len(all) {
				h.holdsModel(session, all[:from])
			}
		}
	}
	h.consistent()
	h.charted()
}

// holdsModel holds what is kept of a session against the model.
func (h *server) holdsModel(session string, all []sent) {
	h.t.Helper()
	want := strays(all)
	got := []int{}
	for _, r := range h.aside(session) {
		var id int
		fmt.Sscanf(string(r.Record[strings.Index(string(r.Record), `"message_id": `)+14:]), "%d", &id)
		got = append(got, id)
		if r.Reason != "stray" {
			h.t.Errorf("%s: %+v", session, r)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		h.t.Fatalf("%s: of %d records %d are set aside, want %d: %v, want %v", session, len(all), len(got), len(want), got, want)
	}
	stored := ids(h.read(timeseries.RecordQuery{SessionID: session}))
	if len(stored)+len(got) != len(all) {
		h.t.Fatalf("%s: %d stored and %d set aside of %d", session, len(stored), len(got), len(all))
	}
	seen := map[int]bool{}
	for _, id := range append(stored, got...) {
		seen[id] = true
	}
	if len(seen) != len(all) {
		h.t.Fatalf("%s: %d different records of %d", session, len(seen), len(all))
	}
}

// charted brings the rollups up to date and holds them against the records.
func (h *server) charted() {
	h.t.Helper()
	for {
		result, err := h.store.Rollups.Refresh(h.t.Context())
		if err != nil {
			h.t.Fatal(err)
		}
		if !result.More {
			break
		}
	}
	if n := h.count(`
		SELECT count(*)
		FROM (SELECT session, time_bucket('1 minute', time) AS bucket, count(*) AS records FROM telemetry GROUP BY 1, 2) r
		FULL JOIN (SELECT session, bucket, records FROM telemetry_1m) l USING (session, bucket)
		WHERE r.records IS DISTINCT FROM l.records`); n != 0 {
		h.t.Errorf("%d minutes of the rollups differ from the records", n)
	}
}

// A file of many chunks, on each way in: strays at its begin, in the middle and
// at its end are set aside whatever chunk they are in.
func TestStraysOfManyChunks(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: records are judged before they are stored")
	h := newServer(t)
	var all []sent
	add := func(n int, from time.Time) {
		for i := range n {
			t := from.Add(time.Duration(i) * 20 * time.Millisecond)
			all = append(all, sent{at: t, record: at("", t, len(all))})
		}
	}
	const early = 1500 // records, in two chunks, and kept for the first three
	add(early-1000, raceStart.AddDate(-2, 0, 0))
	add(chunkRecords-(early-1000)-3, raceStart)
	add(7, raceStart.AddDate(0, 0, 30)) // in two chunks as well
	add(1000, raceStart.AddDate(-2, 0, 0).Add(time.Minute))
	add(2*chunkRecords+(early-1000)+3, raceStart.Add(time.Hour))
	add(90, raceStart.AddDate(0, -1, 0))
	for _, way := range []string{"stream", "import"} {
		for i := range all {
			all[i].record["session_id"] = way
		}
		records := make([]rec, len(all))
		for i := range all {
			records[i] = all[i].record
		}
		for again := range 2 {
			var result ingest.Result
			var err error
			if way == "stream" {
				result, err = h.stream(decode.FormatJSON, ingest.Options{}, ndjson(records))
			} else {
				result, err = h.importFrom(t.Context(), ingest.Options{}, strings.NewReader(ndjson(records)))
			}
			const odd = early + 7 + 90
			if err != nil || result.Inserted != len(all)*(1-again) || result.SetAside != odd*(1-again) || result.AlreadyStored != len(all)*again ||
				again == 0 && (len(result.Odd) == 0 || result.Sessions[0].SetAside != odd) {
				t.Errorf("%s %d: %d inserted, %d set aside, %d before, %v, %v", way, again, result.Inserted, result.SetAside, result.AlreadyStored, result.Odd, err)
			}
		}
		s, err := h.store.Session(t.Context(), way)
		if err != nil || !s.Start.Equal(raceStart) || s.Records != 3*chunkRecords || s.SetAside != early+97 {
			t.Errorf("%s: %+v, %v", way, s, err)
		}
	}
	h.consistent()
	h.charted()
}

// By function and stream, records at the server's clock are right however few
// they are, and stay so when a large file follows.
func TestServerClockIsRight(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: records are judged before they are stored")
	h := newServer(t)
	now := time.Now().UTC()
	var old []rec
	for i := range 200 {
		old = append(old, at("s", now.AddDate(-1, 0, 0).Add(time.Duration(i)*time.Second), i))
	}
	h.insert(old...)
	if result := h.insert(at("s", now, 1000), at("s", now.Add(time.Second), 1001)); result.SetAside != 0 {
		t.Errorf("%+v", result)
	}
	for i := range old {
		old[i] = at("s", now.AddDate(0, -2, 0).Add(time.Duration(i)*time.Second), 2000+i)
	}
	if result, err := h.importFrom(t.Context(), ingest.Options{Source: "import"}, strings.NewReader(ndjson(old))); err != nil || result.SetAside != 0 {
		t.Errorf("%+v, %v", result, err)
	}
	// Two of them in a file are strays.
	if result, err := h.importFrom(t.Context(), ingest.Options{Source: "import"}, strings.NewReader(ndjson([]rec{
		at("s", now.AddDate(0, -6, 0), 3000), at("s", now.AddDate(0, -6, 0), 3001)}))); err != nil || result.SetAside != 2 || len(result.Odd) != 2 {
		t.Errorf("%+v, %v", result, err)
	}
	h.consistent()
}

// A file is judged alike on each way in and in any order: the server's clock
// says nothing of its records, before they are stored or after.
func TestFilesAreJudgedAlike(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: records are judged before they are stored")
	h := newServer(t)
	now := time.Now().UTC()
	lines := func(session string, from time.Time, n int) string {
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, "%s,%s,%d\n", session, record.FormatTime(from.Add(time.Duration(i)*time.Second)), i)
		}
		return text.String()
	}
	ways := map[string]func(text string) (ingest.Result, error){
		"import": func(text string) (ingest.Result, error) {
			return h.store.Writer.Import(t.Context(), decode.New(strings.NewReader(text), decode.Options{Format: decode.FormatCSV}), ingest.Options{Source: "import"})
		},
		"rest": func(text string) (ingest.Result, error) {
			return h.stream(decode.FormatCSV, ingest.Options{Source: "rest", File: true}, text)
		},
	}
	for way, send := range ways {
		for _, order := range []string{"all", "large small", "small large", "large car small", "small car large", "car small large"} {
			session := way + " " + order
			large, small := lines(session, now.AddDate(-1, 0, 0), 200), lines(session, now, 5)
			for step := range strings.FieldsSeq(order) {
				var err error
				switch step {
				case "car":
					h.insert(at(session, now.AddDate(-1, 0, 1), 1000)) // its clock is wrong
				case "all":
					_, err = send("session_id,timestamp,message_id\n" + large + small)
				case "large":
					_, err = send("session_id,timestamp,message_id\n" + large)
				case "small":
					_, err = send("session_id,timestamp,message_id\n" + small)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			odd := h.aside(session)
			if len(odd) != 5 || !odd[0].Time.After(now.Add(-time.Minute)) {
				t.Errorf("%s: %d set aside, want the 5 of now", session, len(odd))
			}
		}
	}
	h.consistent()
}

// repair does what the command does.
func (h *server) repair(what ingest.Repair) ingest.Repaired {
	h.t.Helper()
	done, err := h.store.Writer.Repair(h.t.Context(), what)
	if err != nil {
		h.t.Fatal(err)
	}
	return done
}

// Records that were set aside go back where they belong, once, and are known
// under their old time.
func TestRepair(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	good := numberedRun("s", 600, 0)
	var boot []rec // before the first fix: ten seconds of 1980, then no time at all
	for i := range 10 {
		boot = append(boot, at("s", time.Date(1980, 1, 6, 0, 0, i, 0, time.UTC), 1000+i))
	}
	boot = append(boot, rec{"session_id": "s", "timestamp": "none", "message_id": 1010}, rec{"session_id": "s", "timestamp": "", "message_id": 1011})
	file := append(slices.Clone(boot), good...)
	if result, err := h.stream(decode.FormatJSON, ingest.Options{}, ndjson(file)); err != nil || result.SetAside != 12 {
		t.Fatalf("%+v, %v", result, err)
	}
	h.store.Summary(t.Context(), "s")
	for _, bad := range []ingest.Repair{
		{Session: "s"}, {Session: "s", Shift: time.Hour}, {Session: "s", Shift: time.Hour, Drop: true}, {Session: "none", Drop: true},
		{Session: "s", At: time.Now().Add(1000 * time.Hour)}, {Session: "s", Drop: true, All: true},
	} {
		if done, err := h.store.Writer.Repair(t.Context(), bad); err == nil || len(h.aside("s")) != 12 {
			t.Errorf("%+v: %+v", bad, done)
		}
	}
	// A shift is for those that have a time.
	back := raceStart.Add(-20 * time.Second)
	if done := h.repair(ingest.Repair{Session: "s", Shift: back.Sub(time.Date(1980, 1, 6, 0, 0, 0, 0, time.UTC)), First: 1, Last: 5}); done.PutBack != 5 || done.Left != 7 {
		t.Errorf("shift: %+v", done)
	}
	// The rest: the first at a time, those without one after it by the usual step.
	if done := h.repair(ingest.Repair{Session: "s", At: back.Add(5 * time.Second)}); done.PutBack != 7 || done.Left != 0 {
		t.Errorf("at: %+v", done)
	}
	got := h.read(timeseries.RecordQuery{SessionID: "s", Limit: 13})
	for i, r := range got[:12] {
		if r["message_id"] != float64(1000+i) || r["timestamp"] != record.FormatTime(back.Add(time.Duration(i)*time.Second)) {
			t.Errorf("record %d: %v", i, r)
		}
	}
	if got[3]["extra_number"] != float64(1003%3) || got[12]["message_id"] != 0.0 {
		t.Errorf("%v", got[3])
	}
	sum, err := h.store.Summary(t.Context(), "s")
	if err != nil || sum.Records != 612 || !sum.Start.Equal(back) {
		t.Errorf("%+v, %v", sum, err)
	}
	// Nothing of it is stored or set aside again.
	for _, opt := range []ingest.Options{{}, {SkipExisting: true}} {
		if result, err := h.stream(decode.FormatJSON, opt, ndjson(file)); err != nil || result.Inserted != 0 || result.AlreadyStored != len(file) {
			t.Errorf("%+v: %+v, %v", opt, result, err)
		}
	}
	if result, err := h.stream(decode.FormatJSON, ingest.Options{SkipExisting: true}, ndjson(file[3:40])); err != nil || result.Inserted != 0 {
		t.Errorf("a part of it: %+v, %v", result, err)
	}
	// What is dropped is gone, and known.
	h.insert(rec{"session_id": "s", "timestamp": "1970-01-01T00:00:00Z", "message_id": 2000})
	if done := h.repair(ingest.Repair{Session: "s", Drop: true}); done.Dropped != 1 || done.Left != 0 {
		t.Errorf("drop: %+v", done)
	}
	if result, err := h.stream(decode.FormatJSON, ingest.Options{SkipExisting: true}, ndjson([]rec{{"session_id": "s", "timestamp": "1970-01-01T00:00:00Z", "message_id": 2000}})); err != nil || result.Inserted != 0 {
		t.Errorf("dropped: %+v, %v", result, err)
	}
	h.consistent()
	h.charted()
}

// Strays that somebody puts back stay, even when more records come.
func TestRepairedStraysStay(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: records are judged before they are stored")
	h := newServer(t)
	h.insert(numberedRun("s", 300, 0)...)
	h.insert(at("s", raceStart.AddDate(0, -2, 0), 1000), at("s", raceStart.AddDate(0, -2, 0).Add(time.Second), 1001))
	h.wantAside(2)
	if done := h.repair(ingest.Repair{Session: "s", Shift: -24 * time.Hour}); done.PutBack != 2 || done.Left != 0 {
		t.Errorf("%+v", done)
	}
	h.insert(at("s", raceStart.Add(time.Hour), 2000))
	h.wantAside(0)
	h.consistent()
}

// The clock of a whole run was wrong, and ran over the earliest time that a
// record may have: all of it moves, with what was worked out of it.
func TestShiftRun(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	midnight := time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC)
	var run []rec
	for i := range 1200 {
		run = append(run, at("s", midnight.Add(time.Duration(i-200)*time.Second), i))
	}
	if result := h.insert(run...); result.SetAside != 200 {
		t.Fatalf("%+v", result)
	}
	h.charted()
	before, err := h.store.Summary(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	shift := raceStart.Sub(midnight)
	if done := h.repair(ingest.Repair{Session: "s", Shift: shift, All: true}); done.Shifted != 1000 || done.PutBack != 200 || done.Left != 0 || done.Batch != 2 {
		t.Errorf("%+v", done)
	}
	records := h.read(timeseries.RecordQuery{SessionID: "s"})
	for i, r := range records {
		if r["message_id"] != float64(i) || r["timestamp"] != record.FormatTime(raceStart.Add(time.Duration(i-200)*time.Second)) {
			t.Fatalf("record %d: %v", i, r)
		}
	}
	after, err := h.store.Summary(t.Context(), "s")
	if err != nil || len(records) != 1200 || after.Records != 1200 || !after.Start.Equal(raceStart.Add(-200*time.Second)) || after.Distance <= before.Distance {
		t.Errorf("%d records, %+v, %v", len(records), after, err)
	}
	if result := h.insert(run...); result.Inserted != 0 || result.AlreadyStored != 1200 {
		t.Errorf("sent again: %+v", result)
	}
	if _, err := h.store.PurgeDeleted(t.Context()); err != nil || h.count("SELECT count(*) FROM sessions") != 1 || h.count("SELECT count(*) FROM telemetry") != 1200 {
		t.Errorf("what is left of the old key: %v", err)
	}
	h.consistent()
	h.charted()
}

// A clock that steps back while the car drives is told; records that are late,
// sent again or in a burst are no step.
func TestClockStepsBack(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	drive := func(session string, ids ...int) (records []rec) {
		for _, id := range ids {
			at := time.Duration(id) * time.Second
			if id >= 50 {
				at -= 20 * time.Second // the clock was set
			}
			records = append(records, recordAt(session, at, id))
		}
		return records
	}
	span := func(from, to int) (ids []int) {
		for id := from; id < to; id++ {
			ids = append(ids, id)
		}
		return ids
	}
	uncounted := func(records []rec) []rec {
		for _, r := range records {
			delete(r, "message_id")
		}
		return records
	}
	for name, tc := range map[string]struct {
		batches [][]rec
		want    int
	}{
		"in a batch":               {[][]rec{drive("s", span(1, 100)...)}, 1},
		"between batches":          {[][]rec{drive("s", span(1, 50)...), drive("s", span(50, 100)...)}, 1},
		"a late batch":             {[][]rec{drive("s", span(1, 20)...), drive("s", span(30, 50)...), drive("s", span(20, 30)...)}, 0},
		"a late batch, no count":   {[][]rec{uncounted(drive("s", span(30, 50)...)), uncounted(drive("s", span(1, 30)...))}, 0},
		"no counter":               {[][]rec{uncounted(drive("s", span(1, 100)...))}, 1},
		"sent again":               {[][]rec{drive("s", span(1, 50)...), drive("s", span(40, 50)...), drive("s", span(1, 50)...)}, 0},
		"in order":                 {[][]rec{drive("s", span(1, 49)...)}, 0},
		"one timestamp, in bursts": {[][]rec{{recordAt("s", 0, 1), recordAt("s", 0, 2), recordAt("s", time.Second, 3), recordAt("s", time.Second, 4)}}, 0},
	} {
		session := "s " + name
		for _, batch := range tc.batches {
			for _, r := range batch {
				r["session_id"] = session
			}
			h.insert(batch...)
		}
		sum, err := h.store.Summary(t.Context(), session)
		if err != nil || len(sum.ClockSteps) != tc.want || sum.ClockStepsOmitted != 0 {
			t.Errorf("%s: %+v, %v", name, sum.ClockSteps, err)
		}
		if n := h.count("SELECT clock_steps FROM analytics.quality WHERE session_id = $1", session); n != tc.want {
			t.Errorf("%s: %d in SQL", name, n)
		}
		for _, step := range sum.ClockSteps {
			if step.Seconds != 19 || !step.From.Equal(raceStart.Add(49*time.Second)) {
				t.Errorf("%s: %+v", name, step)
			}
		}
	}
	// In a file of many chunks, over several connections.
	var file []rec
	for i := range 3 * chunkRecords {
		at := time.Duration(i) * time.Second
		if i >= chunkRecords {
			at -= time.Minute
		}
		if i >= 2*chunkRecords+17 {
			at -= time.Hour
		}
		file = append(file, recordAt("file", at, i+1))
	}
	if _, err := h.importFrom(t.Context(), ingest.Options{}, strings.NewReader(ndjson(file))); err != nil {
		t.Fatal(err)
	}
	sum, err := h.store.Summary(t.Context(), "file")
	if err != nil || len(sum.ClockSteps) != 2 || sum.ClockSteps[0].Seconds != 59 || sum.ClockSteps[1].Seconds != 3599 {
		t.Errorf("file: %+v, %v", sum, err)
	}
}

// Strays that are too many to be set aside are told, in the summary and in SQL.
func TestStraysThatAreKeptAreTold(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: records are judged before they are stored")
	h := newServer(t)
	h.insert(numberedRun("s", 80, 0)...)
	h.insert(at("s", raceStart.AddDate(0, 0, 9), 1000), at("s", raceStart.AddDate(0, 0, -90), 1001))
	for i := range 10 {
		h.insert(at("s", raceStart.AddDate(0, 0, 9).Add(time.Duration(i+1)*time.Second), 2000+i))
	}
	sum, err := h.store.Summary(t.Context(), "s")
	if err != nil || len(sum.Strays) != 1 || sum.Strays[0].Records != 11 || !sum.Strays[0].From.Equal(raceStart.AddDate(0, 0, 9)) || sum.SetAside != 1 || sum.Records != 91 {
		t.Errorf("%+v, %v", sum, err)
	}
	if n := h.count("SELECT strays FROM analytics.quality WHERE session_id = 's' AND set_aside = 1"); n != 11 {
		t.Errorf("%d in SQL", n)
	}
	if n := h.count("SELECT count(*) FROM analytics.clusters WHERE session_id = 's'"); n != 3 {
		t.Errorf("%d clusters", n)
	}
	h.consistent()
}

// A repair that has stored records set aside, and stores none, is a batch all the
// same: an export that begins then reads to its end.
func TestRepairThatTakesOut(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	h.insert(numberedRun("s", 300, 0)...)
	h.insert(at("s", raceStart.AddDate(0, -2, 0), 1000))
	if done := h.repair(ingest.Repair{Session: "s", Shift: -24 * time.Hour}); done.PutBack != 1 {
		t.Fatalf("%+v", done)
	}
	// Versions before did not know that it was put back.
	for _, forget := range []string{"UPDATE ingest_batches SET source = 'function' WHERE source = 'repair'", "UPDATE clusters SET trusted = false"} {
		if _, err := h.pool.Exec(t.Context(), forget); err != nil {
			t.Fatal(err)
		}
	}
	h.insert(rec{"session_id": "s", "timestamp": "none", "message_id": 2000})
	before := h.count("SELECT batch FROM sessions")
	if done := h.repair(ingest.Repair{Session: "s", Drop: true}); done.Dropped != 1 || done.Left != 1 || int(done.Batch) != before+1 {
		t.Errorf("%+v after batch %d", done, before)
	}
	if n := h.count("SELECT count(*) FROM sessions WHERE rewritten > batch"); n != 0 {
		t.Error("the run was rewritten by a batch that is not there")
	}
	if n := len(h.read(timeseries.RecordQuery{SessionID: "s"})); n != 300 {
		t.Errorf("%d records", n)
	}
	h.consistent()
}

// A repair that finds nothing says so, and changes nothing.
func TestRepairOfNothing(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: records are judged before they are stored")
	h := newServer(t)
	h.insert(recordAt("s", 0, 1), rec{"session_id": "s", "timestamp": "none", "message_id": 2})
	h.insert(recordAt("whole", 0, 1))
	state := func() int { return h.count("SELECT sum(revision + batch) FROM sessions") }
	before := state()
	for _, test := range []struct {
		ingest.Repair
		kind fault.Kind
		want string
	}{
		{ingest.Repair{Session: "s", Drop: true, First: 700, Last: 800}, fault.NotFound, "700 to 800"},
		{ingest.Repair{Session: "s", Drop: true, First: 700}, fault.NotFound, "700"},
		{ingest.Repair{Session: "whole", At: raceStart}, fault.NotFound, `"whole"`},
		{ingest.Repair{Session: "s", Shift: time.Hour}, fault.Invalid, `"s"`},
	} {
		if done, err := h.store.Writer.Repair(t.Context(), test.Repair); !fault.Is(err, test.kind) || !strings.Contains(err.Error(), test.want) || state() != before {
			t.Errorf("%+v: %+v, %v", test.Repair, done, err)
		}
	}
}

// Strays as long as a record may be come back, and are repaired, all the same:
// their pages end by size.
func TestLongStrays(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: records are judged before they are stored")
	h := newServer(t)
	long := func(from time.Time, n, id int) (records []rec) {
		for i := range n {
			r := at("s", from.Add(time.Duration(i)*time.Second), id+i)
			r["note"] = strings.Repeat("x", 900_000)
			if i == 0 { // the database writes it three times as long as a record may be
				r["note"] = json.RawMessage("[" + strings.Repeat("1e300,", 10_000) + "1]")
			}
			records = append(records, r)
		}
		return records
	}
	const n = 8 // a page holds six of them
	send := func(records []rec) {
		t.Helper()
		for batch := range slices.Chunk(records, 5) {
			if _, err := h.stream(decode.FormatJSON, ingest.Options{}, ndjson(batch)); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.insert(numberedRun("s", 150, 0)...)
	send(long(raceStart.AddDate(0, -2, 0), n, 1000))
	h.wantAside(n)
	var few []rec
	for i := range 10 { // with which they are a tenth
		few = append(few, at("s", raceStart.AddDate(0, -2, 0).Add(time.Minute+time.Duration(i)*time.Second), 2000+i))
	}
	if result := h.insert(few...); result.SetAside != 0 || len(h.aside("s")) != 0 {
		t.Errorf("%+v, %d set aside", result, len(h.aside("s")))
	}
	send(long(time.Date(1980, 1, 6, 0, 0, 0, 0, time.UTC), n, 3000))
	if done := h.repair(ingest.Repair{Session: "s", At: raceStart.Add(time.Hour)}); done.PutBack != n || done.Left != 0 {
		t.Errorf("%+v", done)
	}
	if stored := len(h.read(timeseries.RecordQuery{SessionID: "s"})); stored != 160+2*n {
		t.Errorf("%d records", stored)
	}
	h.consistent()
}

package timeseries_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

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
	h := newHouse(t)
	random := rand.New(rand.NewPCG(14, 11))
	now := time.Now().UTC().Truncate(time.Second)
	for run := range 12 {
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
func (h *house) holdsModel(session string, all []sent) {
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
func (h *house) charted() {
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
	h := newHouse(t)
	var all []sent
	add := func(n int, from time.Time) {
		for i := range n {
			t := from.Add(time.Duration(i) * 20 * time.Millisecond)
			all = append(all, sent{at: t, record: at("", t, len(all))})
		}
	}
	add(chunkRecords+300, raceStart.AddDate(-2, 0, 0)) // kept for the first 9 chunks
	add(chunkRecords, raceStart)
	add(7, raceStart.AddDate(0, 0, 30))
	add(11*chunkRecords, raceStart.Add(time.Hour))
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
			odd := chunkRecords + 300 + 7 + 90
			if err != nil || result.Inserted != len(all)*(1-again) || result.SetAside != odd*(1-again) || result.AlreadyStored != len(all)*again ||
				again == 0 && (len(result.Odd) == 0 || result.Sessions[0].SetAside != odd) {
				t.Errorf("%s %d: %d inserted, %d set aside, %d before, %v, %v", way, again, result.Inserted, result.SetAside, result.AlreadyStored, result.Odd, err)
			}
		}
		s, err := h.store.Session(t.Context(), way)
		if err != nil || !s.Start.Equal(raceStart) || s.Records != int64(12*chunkRecords) || s.SetAside != chunkRecords+397 {
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
	h := newHouse(t)
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

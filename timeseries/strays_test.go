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

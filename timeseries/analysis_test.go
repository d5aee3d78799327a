package timeseries_test

import (
	"context"
	"encoding/csv"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/analysis"
)

var update = flag.Bool("update", false, "write the golden files anew")

// A run whose batches come late and out of order, and are looked at in between,
// ends with the laps and figures of one that came at once.
func TestAnalysisOfLateRecords(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	records, _, _ := circle(time.Date(2026, 3, 21, 12, 0, 0, 300_000_000, time.UTC), 8)
	rng := rand.New(rand.NewPCG(5, 7))
	for i := range records {
		switch rng.IntN(10) {
		case 0:
			records[i]["latitude"], records[i]["longitude"] = 0, 0
		case 1:
			records[i]["latitude"] = 60.0 + rng.Float64()
		}
	}
	once := func(r rec) rec {
		same := rec{}
		for k, v := range r {
			same[k] = v
		}
		same["session_id"] = "once"
		return same
	}
	var all []rec
	var batches [][]rec
	for i, r := range records {
		all = append(all, once(r))
		if i%137 == 0 {
			batches = append(batches, nil)
		}
		batches[len(batches)-1] = append(batches[len(batches)-1], r)
	}
	h.insert(all...)
	rng.Shuffle(len(batches), func(i, j int) { batches[i], batches[j] = batches[j], batches[i] })
	for i, batch := range batches {
		h.insert(batch...)
		if i%3 == 0 {
			if _, err := h.store.Analysis.Laps(t.Context(), analysis.LapRequest{Session: "race"}); err != nil {
				t.Fatal(err)
			}
		}
	}
	what := func(session string) string {
		// On a busy machine a reader is content with what was computed just now.
		if _, err := h.pool.Exec(t.Context(), `UPDATE analysis_runs SET took_s = 0`); err != nil {
			t.Fatal(err)
		}
		laps, err := h.store.Analysis.Laps(t.Context(), analysis.LapRequest{Session: session})
		if err != nil {
			t.Fatal(err)
		}
		figures, err := h.store.Analysis.Figures(t.Context(), session)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, l := range laps.Laps {
			fmt.Fprintf(&b, "%d %s %.6f %.6f %.6f %.3f\n", l.Lap, l.From.Format(time.RFC3339Nano), l.Seconds, *l.Distance, *l.Energy, l.Paused)
		}
		fmt.Fprintf(&b, "%.6f %.6f %d", *figures.Distance, *figures.Energy, figures.NoFix)
		return b.String()
	}
	want, got := what("once"), what("race")
	if got != want {
		t.Errorf("late:\n%s\nat once:\n%s", got, want)
	}
	if n := strings.Count(want, "\n"); n != 8 {
		t.Errorf("%d laps, want 8:\n%s", n, want)
	}
}

// A channel that only every tenth record carries, and that comes late, adds up to
// what it does in every record: what is a gap is a matter of the channel's own
// step. The cookbook's sums are the same.
func TestFiguresOfSparseChannels(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	start := time.Date(2026, 3, 21, 12, 0, 0, 0, time.UTC)
	run := func(session string, speedEvery, powerEvery int) (list []rec) {
		distance, energy := 0.0, 0.0
		for i := range 1201 {
			speed, power := 8+3*math.Sin(float64(i)/90), 300+100*math.Cos(float64(i)/70)
			r := rec{"session_id": session, "timestamp": start.Add(time.Duration(i) * time.Second).Format(time.RFC3339), "distance_m": distance, "energy_j": energy}
			if i%speedEvery == 0 {
				r["speed_ms"] = speed
			}
			if i%powerEvery == 0 {
				r["power_w"] = power
			}
			distance, energy = distance+speed, energy+power
			list = append(list, r)
		}
		return list
	}
	figures := func(session string) *analysis.Figures {
		t.Helper()
		if _, err := h.pool.Exec(t.Context(), `UPDATE analysis_runs SET took_s = 0`); err != nil {
			t.Fatal(err)
		}
		f, err := h.store.Analysis.Figures(t.Context(), session)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	above := cookbook(t)["7. How long was the car above 30 km/h?"]
	fast := func(session string) (seconds float64) {
		if _, err := h.store.Summary(t.Context(), session); err != nil { // knows the channels
			t.Fatal(err)
		}
		asAnalyst(t, h.pool, func(ctx context.Context, tx pgx.Tx) error {
			return tx.QueryRow(ctx, strings.ReplaceAll(above, "my-run", session)).Scan(&seconds)
		})
		return seconds
	}
	h.insert(run("dense", 1, 1)...)
	dense, denseFast := figures("dense"), fast("dense")
	for _, tc := range []struct {
		name                   string
		speedEvery, powerEvery int
	}{{"power", 1, 10}, {"speed", 10, 1}, {"both", 10, 10}} {
		for _, growing := range []bool{false, true} {
			session := fmt.Sprintf("%s growing %v", tc.name, growing)
			list := run(session, tc.speedEvery, tc.powerEvery)
			for growing && len(list) > 400 { // from the first upload on, which is one record
				first := 1 + (1201-len(list))/2
				h.insert(list[:first]...)
				figures(session)
				list = list[first:]
			}
			h.insert(list...)
			f := figures(session)
			for what, v := range map[string][2]float64{"distance": {*f.Distance, *dense.Distance}, "energy": {*f.Energy, *dense.Energy}} {
				if math.Abs(v[0]/v[1]-1) > 0.01 {
					t.Errorf("%s: %s %.0f, of the dense run %.0f", session, what, v[0], v[1])
				}
			}
			if f.SentWhy != nil || f.Silent != 0 || f.Paused != 0 {
				t.Errorf("%s: sent %v, silent %v s, paused %v s", session, f.SentWhy, f.Silent, f.Paused)
			}
			if got := fast(session); math.Abs(got-denseFast) > 40 { // it crosses 30 km/h five times
				t.Errorf("%s: %.0f s above 30 km/h, of the dense run %.0f s", session, got, denseFast)
			}
			var distance, energy float64
			err := h.pool.QueryRow(t.Context(), `SELECT sum(distance_m), sum(energy_j) FROM analytics.seconds($1)`, session).Scan(&distance, &energy)
			if err != nil {
				t.Fatal(err)
			}
			if math.Abs(distance-*f.Distance) > 1e-6*distance || math.Abs(energy-*f.Energy) > 1e-6*energy {
				t.Errorf("%s: by the second %.1f m and %.0f J, figures %.1f m and %.0f J", session, distance, energy, *f.Distance, *f.Energy)
			}
		}
	}
}

// A counter beside a rate that adds up to nothing is told without dividing by it.
func TestCounterBesideNothing(t *testing.T) {
	t.Parallel()
	h := newServer(t)
	h.insert(rec{"session_id": "s", "timestamp": "2026-03-21T12:00:00Z", "power_w": 0, "energy_j": 0},
		rec{"session_id": "s", "timestamp": "2026-03-21T12:00:01Z", "power_w": 0, "energy_j": 500})
	f, err := h.store.Analysis.Figures(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	if want := "the car's energy counter grew by 500 J, and power times time is 0"; f.SentWhy == nil || *f.SentWhy != want {
		t.Errorf("got %v, want %q", f.SentWhy, want)
	}
}

// The laps of the committed export, 300 records at 4.7 Hz. Its bridge was in mock
// mode: the place goes round by 0.05 rad a record, so that a lap is 125.7
// records or 26.9 s, and its fixes are off by 11 m, so that a third of them would
// need more than 100 m/s. The first five that agree come after 3 s; two whole
// laps follow. The counters count 0.2 s a record, which are 0.214 s apart.
func TestLapsOfARealRun(t *testing.T) {
	t.Parallel()
	file, err := os.Open("../test/e2e/testdata/session.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	store := timeseries.New(dbtest.New(t), timeseries.Options{})
	h := &server{t: t, store: store}
	var records []rec
	for _, row := range rows[1:] {
		r := rec{}
		for i, cell := range row {
			if v, err := strconv.ParseFloat(cell, 64); err == nil {
				r[rows[0][i]] = v
			} else if cell != "" {
				r[rows[0][i]] = cell
			}
		}
		records = append(records, r)
	}
	h.insert(records...)
	id := records[0]["session_id"].(string)
	laps, err := store.Analysis.Laps(t.Context(), analysis.LapRequest{Session: id})
	if err != nil {
		t.Fatal(err)
	}
	figures, err := store.Analysis.Figures(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%.1f m, %.2f Wh, %d without a fix\n", *figures.Distance, *figures.Energy/3600, figures.NoFix)
	if figures.SentWhy != nil {
		fmt.Fprintln(&b, *figures.SentWhy)
	}
	for _, l := range laps.Laps {
		fmt.Fprintf(&b, "%d %s %.1f s %.0f m %.2f Wh paused %.0f s silent %.0f s\n", l.Lap, l.From.Format("15:04:05.0"), l.Seconds, *l.Distance, *l.Energy, l.Paused, math.Round(l.Silent))
	}
	const golden = "testdata/laps.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

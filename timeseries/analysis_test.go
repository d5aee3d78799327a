package timeseries_test

import (
	"context"
	"encoding/csv"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
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
		h.analyseAnew()
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
		for _, m := range laps.Modes {
			fmt.Fprintf(&b, " %s %.6f %.6f", m.Mode, m.Seconds, *m.Energy)
		}
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
	dbtest.NeedsBackends(t, "the same on both editions: it is worked out of what was read")
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
		h.analyseAnew()
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
	// shares are the seconds by speed, and the efficiency by speed.
	shares := func(session string) (bySpeed, byEfficiency map[float64]float64) {
		bySpeed, byEfficiency = map[float64]float64{}, map[float64]float64{}
		asAnalyst(t, h.pool, func(ctx context.Context, tx pgx.Tx) error {
			rows, err := tx.Query(ctx, strings.ReplaceAll(cookbook(t)["8. How is speed distributed?"], "my-run", session))
			if err != nil {
				return err
			}
			var kmh, v float64
			if _, err := pgx.ForEachRow(rows, []any{&kmh, &v}, func() error { bySpeed[kmh] = v; return nil }); err != nil {
				return err
			}
			if rows, err = tx.Query(ctx, strings.ReplaceAll(cookbook(t)["9. At which speed is the car most efficient?"], "my-run", session)); err != nil {
				return err
			}
			var seconds float64
			_, err = pgx.ForEachRow(rows, []any{&kmh, &seconds, &v}, func() error { byEfficiency[kmh] = v; return nil })
			return err
		})
		return bySpeed, byEfficiency
	}
	denseBySpeed, denseByEfficiency := shares("dense")
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
			var distance, energy, top, peak float64
			err := h.pool.QueryRow(t.Context(), `SELECT sum(distance_m), sum(energy_j) FROM analytics.seconds($1)`, session).Scan(&distance, &energy)
			if err != nil {
				t.Fatal(err)
			}
			if err := h.pool.QueryRow(t.Context(), `SELECT max(speed_ms), max(power_w) FROM analytics.seconds($1)`, session).Scan(&top, &peak); err != nil {
				t.Fatal(err)
			}
			// A dense run reaches 11 m/s and 400 W.
			if top > 11.2 || peak > 405 {
				t.Errorf("%s: up to %.1f m/s and %.0f W in a second", session, top, peak)
			}
			bySpeed, byEfficiency := shares(session)
			for from, seconds := range denseBySpeed {
				if math.Abs(bySpeed[from]-seconds) > 45 {
					t.Errorf("%s: %.0f s from %v km/h on, of the dense run %.0f s", session, bySpeed[from], from, seconds)
				}
			}
			for kmh, efficiency := range denseByEfficiency {
				if got := byEfficiency[kmh]; got != 0 && math.Abs(got/efficiency-1) > 0.1 {
					t.Errorf("%s: %.1f km/kWh at %v km/h, of the dense run %.1f", session, got, kmh, efficiency)
				}
			}
			if len(byEfficiency) < len(denseByEfficiency)-2 {
				t.Errorf("%s: efficient at %v, the dense run at %v", session, byEfficiency, denseByEfficiency)
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
	dbtest.NeedsBackends(t, "the same on both editions: it is worked out of what was read")
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
	dbtest.NeedsBackends(t, "the same on both editions: it is worked out of what was read")
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
	golden(t, "laps.txt", b.String())
}

// golden compares a text with that of a file in testdata, which -update writes.
func golden(t *testing.T, name, got string) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A run that comes bit by bit reads as one that comes at once: a step that goes
// on over the end of an upload, and of a minute, is spread over both.
func TestStepsOfSparseChannelsInParts(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is worked out of what was read")
	h := newServer(t)
	start := time.Date(2026, 3, 21, 12, 0, 0, 0, time.UTC)
	run := func(session string) (list []rec) {
		for i := range 400 {
			r := rec{"session_id": session, "timestamp": start.Add(time.Duration(i) * time.Second).Format(time.RFC3339), "voltage_v": 48 - float64(i)/100}
			if i%7 == 0 {
				r["speed_ms"] = 8 + 3*math.Sin(float64(i)/30)
			}
			if i%11 == 3 {
				r["power_w"] = 300 + 100*math.Cos(float64(i)/20)
			}
			list = append(list, r)
		}
		return list
	}
	h.insert(run("whole")...)
	for part := range slices.Chunk(run("parts"), 17) {
		h.insert(part...)
		h.analyseAnew()
		if _, err := h.store.Analysis.Figures(t.Context(), "parts"); err != nil {
			t.Fatal(err)
		}
	}
	analysed(t, h.store)
	var different, seconds int
	err := h.pool.QueryRow(t.Context(), `
		SELECT count(*) FILTER (WHERE abs(a.distance_m - b.distance_m) > 1e-6 OR abs(a.energy_j - b.energy_j) > 1e-6), count(*)
		FROM analytics.seconds('whole') a
		FULL JOIN analytics.seconds('parts') b USING (second)`).Scan(&different, &seconds)
	if err != nil || different != 0 || seconds != 400 {
		t.Errorf("%d of %d seconds differ, %v", different, seconds, err)
	}
	// The deepest sag has a current though its own record carries none.
	asAnalyst(t, h.pool, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, strings.ReplaceAll(cookbook(t)["5. When did the pack voltage sag most?"], "my-run", "whole"))
		if err != nil {
			return err
		}
		var at time.Time
		var voltage, current, power float64
		n := 0
		_, err = pgx.ForEachRow(rows, []any{&at, &voltage, &current, &power}, func() error {
			if n++; n > 5 && math.Abs(current*voltage-power) > 1 {
				t.Errorf("%v: %.1f V, %.1f A, %.1f W", at, voltage, current, power)
			}
			return nil
		})
		return err
	})
}

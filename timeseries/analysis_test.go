package timeseries_test

import (
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

package timeseries_test

import (
	"bytes"
	"math"
	"reflect"
	"testing"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/simulate"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
)

// Where the energy of a run went is said of what its analysis keeps: without reading a record,
// once for each time that the run is worked out.
func TestEnergyOfARun(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is worked out of what was read")
	pool := dbtest.New(t)
	s := timeseries.New(pool, timeseries.Options{})
	car := simulate.New(simulate.Options{Seed: 3, SessionID: "pulse", Noise: 0.3})
	send := func(records int) {
		t.Helper()
		var text bytes.Buffer
		if err := car.WriteNDJSON(&text, records); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Writer.IngestStream(t.Context(), decode.New(&text, decode.Options{Format: decode.FormatJSON}), ingest.Options{Source: "test"}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Analysis.Update(t.Context(), "pulse"); err != nil {
			t.Fatal(err)
		}
	}
	send(9000)
	first, err := s.Energy.Read(t.Context(), "pulse")
	if err != nil {
		t.Fatal(err)
	}
	if first.Model == nil || first.Score == nil || len(first.Laps) == 0 || len(first.Sectors) == 0 {
		t.Fatalf("no model or no score: %s, %d laps", first.Why, len(first.Laps))
	}
	if m := first.Model; m.R2 < 0.95 || math.Abs(*m.Lifting-1) > 0.1 || m.Terms[0].Term != "rolling" || m.Terms[1].Term != "drag" {
		t.Errorf("the model is %+v", m)
	}
	if score := first.Score; score.Percent < 85 || score.Percent > 101 || score.Laps < 8 {
		t.Errorf("the score is %+v of %d laps", score, len(first.Laps))
	}
	// They are those of the run and its laps, to the last digit: its first half second counts.
	var whole float64
	var laps, parts []float64
	err = pool.QueryRow(t.Context(), `
		SELECT energy_j / 3600, (SELECT array_agg(energy_wh ORDER BY lap) FROM analytics.laps('pulse')),
		       (SELECT array_agg(energy_wh ORDER BY sector) FROM (
		           SELECT sector, sum(s.energy_wh) AS energy_wh FROM analytics.sectors('pulse') s JOIN analytics.laps('pulse') l USING (lap) WHERE l.valid GROUP BY sector) x)
		FROM analysis_runs`).Scan(&whole, &laps, &parts)
	if err != nil {
		t.Fatal(err)
	}
	same := func(what string, got, want float64) {
		if math.Abs(got-want) > 1e-9*math.Abs(want) {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	same("the run's energy", first.Run.Energy, whole)
	for i, l := range first.Laps {
		same("a lap's", l.Energy, laps[i])
	}
	for i, s := range first.Sectors {
		same("a sector's", s.Energy, parts[i])
	}
	if again, err := s.Energy.Read(t.Context(), "pulse"); err != nil || again != first {
		t.Error("it was worked out again:", err)
	}
	// A name that a sector is given meanwhile is one of the answer's.
	if _, err := pool.Exec(t.Context(), "UPDATE tracks SET gate_names[1] = 'Hairpin', updated_at = clock_timestamp()"); err != nil {
		t.Fatal(err)
	}
	if first, err = s.Energy.Read(t.Context(), "pulse"); err != nil || first.Sectors[0].Name != "Hairpin" {
		t.Error("a sector's new name is not known:", err)
	}
	if _, err := pool.Exec(t.Context(), "DELETE FROM telemetry"); err != nil {
		t.Fatal(err)
	}
	if anew, err := timeseries.New(pool, timeseries.Options{}).Energy.Read(t.Context(), "pulse"); err != nil || !reflect.DeepEqual(anew, first) {
		t.Error("without the records it is another:", err)
	}
	// A run that took long is worked out anew only some time later.
	if _, err := pool.Exec(t.Context(), "UPDATE analysis_runs SET computed_at = computed_at - INTERVAL '1 hour'"); err != nil {
		t.Fatal(err)
	}
	send(3000)
	if later, err := s.Energy.Read(t.Context(), "pulse"); err != nil || later.Model.Intervals <= first.Model.Intervals {
		t.Errorf("records that came since do not count: %v, %+v", err, later.Model)
	}
	if _, err := s.Energy.Read(t.Context(), "nobody"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a run that is not there: %v", err)
	}
}

package timeseries_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/timeseries/analysis"
	"github.com/ecovolt/telemetryd/timeseries/compare"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
	"github.com/ecovolt/telemetryd/timeseries/record"
	"github.com/ecovolt/telemetryd/timeseries/series"
)

// What a lap's records cost is bounded by how many there are, and not only by how many
// the run's length lets expect: this one had all but one of them in its last minutes.
func TestComparedLapOfMostRecords(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions")
	h := newServer(t)
	start := time.Date(2026, 6, 3, 10, 0, 0, 0, time.UTC)
	var text strings.Builder
	text.WriteString("session_id,timestamp,speed_ms,lap,m0,m1,m2,m3,m4,m5,m6,m7\n")
	fmt.Fprintf(&text, "race,%s,10,0,1,1,1,1,1,1,1,1\n", record.FormatTime(start.AddDate(0, 0, -6)))
	const most = 1_000_000/34 + 1
	for i := range most + 1000 {
		lap := 1 + i/most
		fmt.Fprintf(&text, "race,%s,10,%d,1,2,3,4,5,6,7,8\n", record.FormatTime(start.Add(time.Duration(i)*20*time.Millisecond)), lap)
	}
	if _, err := h.stream(decode.FormatCSV, ingest.Options{}, text.String()); err != nil {
		t.Fatal(err)
	}
	refresh(t, h.store) // finds the members
	race, err := h.store.Analysis.Laps(t.Context(), analysis.LapRequest{Session: "race"})
	if err != nil || len(race.Laps) != 1 {
		t.Fatal(err, race)
	}
	req := compare.Request{Laps: []compare.Lap{{Run: "race", Number: 1}}, Points: 10, By: "time", Class: series.Guest, Metrics: []string{"m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7"}}
	if _, err := h.store.Laps.Read(t.Context(), req); err == nil || !strings.Contains(err.Error(), "more than 1000000 values") {
		t.Errorf("a guest gets %v", err)
	}
	req.Class = series.Member
	if _, err := h.store.Laps.Read(t.Context(), req); err != nil {
		t.Error(err)
	}
}

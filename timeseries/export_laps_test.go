package timeseries_test

import (
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/analysis"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest"
)

// The laps of the team's whole export, where it is at hand: 12,851 records at 4.7 Hz.
// Its bridge was in mock mode: the place goes round by 0.05 rad a record, so that a lap
// is 125.7 records and there are 102 of them; when each truly began the times of
// the records tell. Its fixes are off by 9 m to each side, as much as the car drives in
// a second, and what it says of its speed has nothing to do with the way.
func TestLapsOfTheExport(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is worked out of what was read")
	const name = "../../shared/data/session-m233.csv"
	file, err := os.Open(name)
	if os.IsNotExist(err) {
		t.Skip("the export is not here")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	store := timeseries.New(dbtest.New(t), timeseries.Options{})
	if _, err := store.Writer.IngestStream(t.Context(), decode.New(file, decode.Options{Format: decode.FormatCSV}), ingest.Options{Source: "test"}); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var times []time.Time
	for _, row := range rows[1:] {
		at, err := time.Parse(time.RFC3339Nano, row[2])
		if err != nil {
			t.Fatal(err)
		}
		times = append(times, at)
	}
	race, err := store.Analysis.Laps(t.Context(), analysis.LapRequest{Session: rows[1][0]})
	if err != nil {
		t.Fatal(err)
	}
	at := func(record float64) float64 {
		i := int(record)
		return float64(times[i].UnixMicro())/1e6 + (record-float64(i))*times[i+1].Sub(times[i]).Seconds()
	}
	recordAt := func(at time.Time) float64 {
		i, found := slices.BinarySearchFunc(times, at, time.Time.Compare)
		if i == 0 || found {
			return float64(i)
		}
		return float64(i-1) + at.Sub(times[i-1]).Seconds()/times[i].Sub(times[i-1]).Seconds()
	}
	round := 2 * math.Pi / 0.05
	begun := recordAt(race.Laps[0].From)
	var off []float64
	var b strings.Builder
	fmt.Fprintf(&b, "%d laps on %s, %d sectors\n", len(race.Laps), race.Track.Name, len(race.Sectors))
	for i, l := range race.Laps {
		fmt.Fprintf(&b, "%d %s %.1f s %.0f m %.2f Wh, deviation %.2f s\n", l.Lap, l.From.Format("15:04:05.0"), l.Seconds, *l.Distance, *l.Energy, *l.Error)
		from := begun + float64(i)*round
		off = append(off, math.Abs(l.Seconds-(at(from+round)-at(from))))
		if got := recordAt(l.From); math.Abs(got-from) > 4 {
			t.Errorf("lap %d begins at record %.1f, truly at %.1f", l.Lap, got, from)
		}
		if miss := off[i]; miss > 4**l.Error {
			t.Errorf("lap %d is off by %.2f s, and is said to be by %.2f s", l.Lap, miss, *l.Error)
		}
	}
	slices.Sort(off)
	t.Logf("laps are off by %.2f s (median) and up to %.2f s", off[len(off)/2], off[len(off)-1])
	if off[len(off)/2] > 0.15 {
		t.Errorf("laps are off by %.2f s", off[len(off)/2])
	}
	golden(t, "export_laps.txt", b.String())
}

package simulate_test

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/simulate"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/decode"
)

func TestSameSeedSameRecords(t *testing.T) {
	t.Parallel()
	write := func(opt simulate.Options) string {
		var b bytes.Buffer
		if err := simulate.New(opt).WriteNDJSON(&b, 3000); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	first := write(simulate.Options{Seed: 7, Number: 1})
	if again := write(simulate.Options{Seed: 7, Number: 1}); again != first {
		t.Error("the same options gave other records")
	}
	for name, opt := range map[string]simulate.Options{
		"seed":   {Seed: 8, Number: 1, SessionID: "s", SessionName: "n"},
		"number": {Seed: 7, Number: 2, SessionID: "s", SessionName: "n"},
	} {
		if write(opt) == write(simulate.Options{Seed: 7, Number: 1, SessionID: "s", SessionName: "n"}) {
			t.Errorf("another %s gave the same records", name)
		}
	}
}

// The energy counter counts the power that is sent.
func TestCountsWhatItMeasures(t *testing.T) {
	t.Parallel()
	car := simulate.New(simulate.Options{Seed: 20, Number: 2, Rate: 5, Noise: 0.15, Laps: 6, Gap: 40 * time.Second})
	before, sum, counted := *car.Next(), 0.0, 0.0
	for range 10_000 {
		r := *car.Next()
		if took := r.Time.Sub(before.Time).Seconds(); took < 1 {
			sum, counted = sum+max(r.Power, 0)*took, counted+r.Energy-before.Energy
		}
		before = r
	}
	if math.Abs(counted/sum-1) > 0.01 {
		t.Errorf("counted %.0f J, sent %.0f J of power", counted, sum)
	}
}

// The store takes every record, knows every field, and charts see a car: laps
// on one track, stops, plausible numbers.
func TestRecordsAreBelievable(t *testing.T) {
	t.Parallel()
	car := simulate.New(simulate.Options{Seed: 1, Number: 3, Rate: 10, Laps: 2, Gap: 10 * time.Minute})
	batch := decode.NewBatch()
	defer batch.Release()
	var last time.Time
	var longest time.Duration
	var energy, distance, sum, stopped float64
	const records = 20_000
	for i := range records {
		r := car.Next()
		if !r.Time.After(last) {
			t.Fatalf("record %d is not later than the one before", i)
		}
		if i > 0 {
			longest = max(longest, r.Time.Sub(last))
		}
		last = r.Time
		if r.Energy < energy || r.Distance < distance {
			t.Fatalf("record %d: energy or distance went back", i)
		}
		energy, distance = r.Energy, r.Distance
		for name, value := range map[string]struct{ v, low, high float64 }{
			"speed": {r.Speed, 0, 20}, "voltage": {r.Voltage, 38, 58}, "current": {r.Current, -15, 40},
			"power": {r.Power, -500, 2500}, "latitude": {r.Latitude, 43.76, 43.78}, "longitude": {r.Longitude, -0.05, -0.03},
			"throttle": {r.Throttle, 0, 100}, "motor": {r.MotorTemp, 15, 110}, "g": {r.GForce, 0, 2},
		} {
			if math.IsNaN(value.v) || value.v < value.low || value.v > value.high {
				t.Fatalf("record %d: %s is %v, not between %v and %v", i, name, value.v, value.low, value.high)
			}
		}
		sum += r.Speed
		if r.Motion == "stationary" {
			stopped++
		}
		line := r.AppendJSON(nil)
		if err := decode.Records(append(append([]byte{'['}, line...), ']'), batch, last); err != nil {
			t.Fatalf("record %d: %v in %s", i, err, line)
		}
		if i == 0 {
			var members map[string]any
			if err := json.Unmarshal(line, &members); err != nil {
				t.Fatal(err)
			}
			for name := range members {
				if _, ok := channel.ByName(name); !ok && name != "session_id" && name != "timestamp" {
					t.Errorf("the record list does not know %s", name)
				}
			}
		}
	}
	if batch.Len() != records || batch.Rejected() != 0 {
		t.Errorf("%d records decoded, %d rejected: %v", batch.Len(), batch.Rejected(), batch.Err())
	}
	if mean := sum / records; mean < 4 || mean > 12 {
		t.Errorf("mean speed %.1f m/s", mean)
	}
	if share := stopped / records; share < 0.01 || share > 0.4 {
		t.Errorf("the car stands %.0f %% of the time", 100*share)
	}
	if longest < 5*time.Minute {
		t.Errorf("longest pause %v, though the radio is switched off between stints", longest)
	}
	if km := distance / 1000; km < 5 {
		t.Errorf("only %.1f km", km)
	}
}

func TestCSVIsReadAsNDJSONIs(t *testing.T) {
	t.Parallel()
	decoded := func(format decode.Format, write func(*simulate.Car, io.Writer) error) int {
		var text bytes.Buffer
		if err := write(simulate.New(simulate.Options{Seed: 5}), &text); err != nil {
			t.Fatal(err)
		}
		batch := decode.NewBatch()
		defer batch.Release()
		decoder := decode.New(&text, decode.Options{Format: format})
		if err := decoder.Next(batch, 1000); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		if err := batch.Err(); err != nil {
			t.Fatal(err)
		}
		return batch.Len()
	}
	asJSON := decoded(decode.FormatJSON, func(c *simulate.Car, w io.Writer) error { return c.WriteNDJSON(w, 500) })
	asCSV := decoded(decode.FormatCSV, func(c *simulate.Car, w io.Writer) error { return c.WriteCSV(w, 500) })
	if asJSON != 500 || asCSV != 500 {
		t.Errorf("%d records from NDJSON and %d from CSV, want 500 each", asJSON, asCSV)
	}
}

func BenchmarkWriteNDJSON(b *testing.B) {
	car := simulate.New(simulate.Options{Seed: 1, Rate: 50})
	b.ReportAllocs()
	if err := car.WriteNDJSON(io.Discard, b.N); err != nil {
		b.Fatal(err)
	}
}

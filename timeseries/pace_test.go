package timeseries_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/internal/dbtest"
	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/simulate"
	"github.com/ecovolt/telemetryd/timeseries"
	"github.com/ecovolt/telemetryd/timeseries/book"
	"github.com/ecovolt/telemetryd/timeseries/pace"
)

func (h *server) pace(id string) *pace.Outlook {
	h.t.Helper()
	outlook, err := h.store.Pace.Read(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	return outlook
}

// While a car drives its sixth lap, what its seven will take is foreseen; once they are
// driven it is what they took. The same car without positions goes by time.
func TestPace(t *testing.T) {
	t.Parallel()
	dbtest.NeedsBackends(t, "the same on both editions: it is worked out of what was read")
	h := newServer(t)
	opt := simulate.Options{Seed: 3, Circuit: 4, SessionID: "race", Rate: 5, Noise: -1, Fixes: 2, DropOuts: 0.01, Paces: []float64{1, 1.02, 0.98, 1.01, 0.99, 1, 1}}
	whole := simulate.New(opt) // knows what is to come
	for way := 0.0; way < 7.2*whole.Around(); {
		way = whole.Next().Distance
	}
	now, _ := whole.When(5.4 * whole.Around())
	opt.Start = time.Now().Add(-time.Duration(now * 1e9)).Truncate(time.Microsecond)
	car := simulate.New(opt)
	var before, behind []rec
	for way := 0.0; way < 7.1*whole.Around(); {
		r := car.Next()
		way = r.Distance
		one := rec{"session_id": "race", "timestamp": r.Time.Format(time.RFC3339Nano), "speed_ms": r.Speed, "power_w": r.Power, "latitude": r.Latitude, "longitude": r.Longitude}
		if way < 5.4*whole.Around() {
			before = append(before, one)
		} else {
			behind = append(behind, one)
		}
	}
	h.insert(before...)
	_, spent := whole.When(5.4 * whole.Around())
	end, all := whole.When(7 * whole.Around())
	sixth, _ := whole.When(6 * whole.Around())
	wh, laps := all/3600+0.1, int32(7)
	h.edit("race", timeseries.SessionChange{Book: book.Change{PlanChange: book.PlanChange{Energy: &wh, Laps: &laps}}})

	o := h.pace("race")
	if o.State != "driving" || o.Pace.N != 5 || o.Pace.Of != "laps" || o.Lap.Lap != 6 || o.Lap.EndsAt == nil || o.Goal.Reached || o.Over == nil {
		t.Fatalf("%+v", o)
	}
	off := func(what string, got *float64, want, most float64) {
		t.Helper()
		if got == nil || math.Abs(*got-want) > most {
			t.Errorf("%s: %v, want %v to within %v", what, show(got), want, most)
		}
	}
	off("what is spent", o.SoFar.Energy, spent/3600, 0.02*all/3600)
	off("the lap's end", o.Lap.Seconds, sixth-o.At.Sub(opt.Start).Seconds(), 3**o.Lap.Error)
	off("the goal's time", o.Goal.Seconds, end, 3**o.Goal.SecondsError)
	off("the goal's energy", o.Goal.Energy, all/3600, 3**o.Goal.EnergyError+0.01*all/3600)
	if *o.Lap.Error > 5 || *o.Goal.SecondsError > 15 || *o.Goal.EnergyError > 0.1*all/3600 {
		t.Errorf("errors %v, %v, %v", *o.Lap.Error, *o.Goal.SecondsError, *o.Goal.EnergyError)
	}

	h.insert(behind...)
	h.analyseAnew()
	if o = h.pace("race"); !o.Goal.Reached || o.Needed != nil || o.Why["needed"] == "" {
		t.Fatalf("%+v", o)
	}
	off("what it took", o.Goal.Seconds, end, 0.5)
	off("what it used", o.Goal.Energy, all/3600, 0.02*all/3600)
	off("what is left of the plan then", o.Left.Energy, wh-*o.Goal.Energy, 1e-9)
	h.edit("race", timeseries.SessionChange{Book: book.Change{PlanChange: book.PlanChange{Laps: new(int32)}}})
	o = h.pace("race")
	var driven, used float64
	if err := h.pool.QueryRow(t.Context(), "SELECT distance_m, energy_j / 3600 FROM analysis_runs JOIN sessions USING (session) WHERE id = 'race'").Scan(&driven, &used); err != nil {
		t.Fatal(err)
	}
	off("the distance since its first record", o.SoFar.Distance, driven, 1e-6)
	off("the energy since then", o.SoFar.Energy, used, 1e-6)

	for i := range before {
		before[i]["session_id"] = "no track"
		delete(before[i], "latitude")
	}
	h.insert(before...)
	h.edit("no track", timeseries.SessionChange{Book: book.Change{PlanChange: book.PlanChange{Energy: &wh}}})
	if o = h.pace("no track"); o.Pace == nil || o.Pace.Of != "minutes" || o.Over == nil || o.Over.Error == nil || o.Over.Laps != nil || o.Lap != nil || o.Why["lap"] == "" {
		t.Fatalf("%+v", o)
	}
	off("energy left", o.Left.Energy, wh-spent/3600, 0.02*all/3600)
	for i := range before { // and without its speed, of which nobody knows when it moved first
		before[i]["session_id"] = "nothing but power"
		delete(before[i], "speed_ms")
	}
	h.insert(before...)
	if o = h.pace("nothing but power"); o.From.Sub(opt.Start).Abs() > time.Second || *o.SoFar.Energy < 0.98*spent/3600 {
		t.Errorf("counted from %v, not %v: %v Wh", o.From, opt.Start, *o.SoFar.Energy)
	}
	// What was used up once is, though the minute ends with less: 10 kW for 20 s, and most of it back.
	var back []rec
	for s := range 260 {
		back = append(back, rec{"session_id": "gives back", "timestamp": opt.Start.Truncate(time.Minute).Add(time.Duration(s) * time.Second).Format(time.RFC3339Nano), "speed_ms": 8, "power_w": map[bool]float64{true: 10_000, false: -4500}[s%60 < 20]})
	}
	h.insert(back...)
	half := 50.0
	h.edit("gives back", timeseries.SessionChange{Book: book.Change{PlanChange: book.PlanChange{Energy: &half}}})
	if o = h.pace("gives back"); o.Over == nil || !o.Over.Spent || math.Abs(o.Over.At.Sub(*o.From).Seconds()-18) > 1 {
		t.Errorf("it was used up at %v of %v", o.Over, o.From)
	}
	h.insert(rec{"session_id": "stub", "timestamp": "2026-03-21T12:00:00Z"})
	if o = h.pace("stub"); o.State != "ended" || o.Pace != nil {
		t.Errorf("%+v", o)
	}
	if _, err := h.store.Pace.Read(t.Context(), "nobody"); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
}

func show(v *float64) string {
	if v == nil {
		return "nothing"
	}
	return fmt.Sprint(*v)
}

package pace_test

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/ecovolt/telemetryd/timeseries/book"
	"github.com/ecovolt/telemetryd/timeseries/pace"
)

// even is a run of laps of 60 s and 600 m at 10 m/s, that take watts, and of so many
// seconds behind the last line.
func even(laps int, watts, open float64) *pace.Run {
	return drives(laps, open, func(int) (speed, power float64) { return 10, watts })
}

// drives is a run of laps of 60 s, each driven evenly.
func drives(laps int, open float64, as func(lap int) (speed, power float64)) *pace.Run {
	r := &pace.Run{Distance: true, Energy: true}
	var way, energy float64
	for s := 0.0; s <= 60*float64(laps)+open; s += 0.5 {
		r.Sums = append(r.Sums, pace.Sum{At: at(s), Way: way, Energy: energy})
		speed, power := as(int(s / 60))
		way, energy = way+speed/2, energy+power/2
	}
	for i := range laps {
		r.Laps = append(r.Laps, pace.Lap{From: at(60 * float64(i)), To: at(60 * float64(i+1))})
	}
	r.Open, r.Began = at(60*float64(laps)), &r.Sums[0]
	return r
}

func is(t *testing.T, what string, got *float64, want float64) {
	t.Helper()
	if got == nil || math.Abs(*got-want) > 1e-6*max(1, math.Abs(want)) {
		t.Errorf("%s is %v, want %v", what, show(got), want)
	}
}

func show(v *float64) any {
	if v == nil {
		return nil
	}
	return *v
}

// What an even run may still spend can be told by hand. 360 W are 6 Wh a lap.
func TestEven(t *testing.T) {
	t.Parallel()
	wh, laps, limit := 63.0, int32(10), 700.0
	got := pace.Of(even(6, 360, 15), book.Plan{Energy: &wh, Laps: &laps, Time: &limit})
	if got.State != "driving" || got.Pace.Of != "laps" || got.Pace.N != 5 || len(got.Why) != 0 {
		t.Errorf("%+v", got)
	}
	is(t, "the time of a lap", &got.Pace.Seconds.Mean, 60)
	is(t, "its energy", &got.Pace.Energy.Mean, 6)
	is(t, "energy per km", &got.Pace.PerKM.Mean, 10)
	is(t, "speed", &got.Pace.Speed.Mean, 36)
	is(t, "efficiency", got.Pace.Efficiency, 100)
	is(t, "the lap so far", got.SoFar.Share, 0.25)
	is(t, "the rest of the lap", got.Lap.Seconds, 45)
	if !got.Lap.EndsAt.Equal(at(420)) || got.Lap.Lap != 7 {
		t.Errorf("lap %d ends at %v", got.Lap.Lap, got.Lap.EndsAt)
	}
	is(t, "error of the lap", got.Lap.Error, 0)
	is(t, "error of the allowance", got.Over.Error, 0)
	is(t, "energy left", got.Left.Energy, 63-37.5)
	is(t, "laps left", got.Left.Laps, 3.75)
	is(t, "time left", got.Left.Seconds, 325)
	is(t, "seconds to the end of the allowance", got.Over.Seconds, 255)
	is(t, "laps of the allowance", got.Over.Laps, 10.5)
	is(t, "its metres", got.Over.Distance, 6300)
	is(t, "the goal's time", got.Goal.Seconds, 600)
	is(t, "the goal's energy", got.Goal.Energy, 60)
	is(t, "what is left then", got.Goal.EnergyMargin, 3)
	is(t, "time left then", got.Goal.TimeMargin, 100)
	if *got.Goal.EnergySuffices != "yes" || *got.Goal.TimeSuffices != "yes" {
		t.Errorf("suffices: %v, %v", *got.Goal.EnergySuffices, *got.Goal.TimeSuffices)
	}
	is(t, "Wh a lap", got.Needed.EnergyPerLap, 25.5/3.75)
	is(t, "Wh a km", got.Needed.EnergyPerKM, 25.5/2.25)
	is(t, "km a kWh", got.Needed.Efficiency, 2250/25.5)
	is(t, "speed needed", got.Needed.Speed, 2250/325.0*3.6)
	is(t, "lap needed", got.Needed.LapSeconds, 325/3.75)
}

// A car whose laps take 6 Wh in their first half and give 3 Wh back in the second has used up
// 4 Wh on the way there, and 11.5 Wh in the middle of the third one.
func TestRegeneration(t *testing.T) {
	t.Parallel()
	for left, want := range map[float64]float64{4: 20, 11.5: 147.5} {
		r := even(5, 0, 0)
		for i := range r.Sums {
			lap, part := math.Modf(float64(i) / 120)
			r.Sums[i].Energy = 3600 * (3*lap + min(12*part, 9-6*part))
		}
		wh := 15 + left
		is(t, "what is left takes", pace.Of(r, book.Plan{Energy: &wh}).Over.Seconds, want)
	}
}

// A car that drives evenly without laps, and one that is to go so far, or so long.
func TestGoals(t *testing.T) {
	t.Parallel()
	wh, km, limit := 63.0, 6.0, 650.0
	for name, laps := range map[string]bool{"laps": true, "minutes": false} {
		r := even(6, 360, 15)
		if !laps {
			r.Laps, r.Open = nil, time.Time{}
		}
		got := pace.Of(r, book.Plan{Energy: &wh, Distance: &km, Time: &limit})
		if got.Goal == nil || got.Goal.Of != "distance" || got.Pace.Of != name {
			t.Fatalf("%s: %+v", name, got)
		}
		is(t, name+": seconds", got.Goal.Seconds, 600)
		is(t, name+": energy", got.Goal.Energy, 60)
		is(t, name+": over", got.Over.Seconds, 255)
		is(t, name+": Wh a km", got.Needed.EnergyPerKM, 25.5/2.25)
		if (got.Over.Laps != nil) != laps || (got.Needed.EnergyPerLap != nil) != laps {
			t.Errorf("%s: %v, %v", name, show(got.Over.Laps), show(got.Needed.EnergyPerLap))
		}
		got = pace.Of(r, book.Plan{Energy: &wh, Time: &limit})
		if got.Goal == nil || got.Goal.Of != "time" || *got.Goal.EnergySuffices != "no" || got.Goal.TimeSuffices != nil {
			t.Fatalf("%s: %+v", name, got.Goal)
		}
		is(t, name+": energy when the time is over", got.Goal.Energy, 65)
		is(t, name+": distance", got.Goal.Distance, 6500)
	}
}

// How sure something is follows from how laps differ, and a verdict is sure by two errors.
func TestErrors(t *testing.T) {
	t.Parallel()
	// Of laps of 6 and 7 Wh the variance is 0.5; the next one has that, and their mean half of it.
	r := drives(2, 0, func(lap int) (speed, power float64) { return 10, 360 + 60*float64(lap%2) })
	laps, wh := int32(3), 100.0
	goal := pace.Of(r, book.Plan{Energy: &wh, Laps: &laps}).Goal
	is(t, "energy of the goal", goal.Energy, 19.5)
	is(t, "its error", goal.EnergyError, 1.837*math.Sqrt(0.75))
	for off, want := range map[float64]string{-2.1: "no", -1.9: "unsure", 1.9: "unsure", 2.1: "yes"} {
		wh = *goal.Energy + off**goal.EnergyError
		if got := pace.Of(r, book.Plan{Energy: &wh, Laps: &laps}).Goal.EnergySuffices; *got != want {
			t.Errorf("with a plan %v errors off, the energy suffices: %s, want %s", off, *got, want)
		}
	}
	// By its odometer laps of the same time are of 600 and 612 m: the car may be elsewhere.
	r = drives(2, 15, func(lap int) (speed, power float64) { return 10 + 0.2*float64(lap%2), 360 })
	is(t, "error of the lap", pace.Of(r, book.Plan{}).Lap.Error, math.Sqrt(72)/606*math.Sqrt(150.0/606)*60)
	// Of each lap 3 s were not heard; they count as the rest does.
	r = even(6, 360, 15)
	for i := range r.Sums {
		s := r.Sums[i].At.Sub(start).Seconds()
		silent := 3*math.Floor(s/60) + min(3, math.Mod(s, 60))
		r.Sums[i].Silent, r.Sums[i].Way, r.Sums[i].Energy = silent, 10*(s-silent), 360*(s-silent)
	}
	p := pace.Of(r, book.Plan{}).Pace
	is(t, "energy of a lap with a gap", &p.Energy.Mean, 6)
	is(t, "its speed", &p.Speed.Mean, 36)
}

func TestEdges(t *testing.T) {
	t.Parallel()
	wh, laps, km, limit := 30.0, int32(10), 100.0, 400.0
	stands := even(6, 360, 15)
	for s := 375.5; s <= 400; s += 0.5 {
		stands.Sums = append(stands.Sums, pace.Sum{At: at(s), Way: 3750, Energy: 135_000, Paused: s - 375})
	}
	pauses := even(6, 360, 15)
	for i := range pauses.Laps {
		pauses.Laps[i].Paused = 12
	}
	ended := even(6, 360, 15)
	ended.Ended = true
	reached := even(12, 360, 15)
	reached.Reached = &reached.Sums[1200] // at 600 s
	enough, late, half, some := 61.0, 700.0, 390.0, 40.5
	byTime := even(12, 360, 15)
	byTime.Reached = &byTime.Sums[780] // at 390 s
	away := even(6, 360, 15)
	away.Away = true
	astray := even(6, 360, 80)
	one, over := even(1, 360, 15), 7.4
	long := even(6, 360, 15) // its laps were more than 12 h ago
	for s := 376.0; s <= 780*60; s += 30 {
		long.Sums = append(long.Sums, pace.Sum{At: at(s), Way: 10 * s, Energy: 360 * s})
	}
	none := even(6, 360, 15)
	none.Energy, none.Distance = false, false
	silent := even(6, 360, 15)
	for i := range silent.Laps {
		silent.Laps[i].Silent = 20
	}
	for i := range silent.Sums {
		silent.Sums[i].Silent = float64(i) / 6
	}
	for name, tc := range map[string]struct {
		run   *pace.Run
		plan  book.Plan
		check func(o *pace.Outlook) bool
	}{
		"spent": {even(6, 360, 15), book.Plan{Energy: &wh, Laps: &laps}, func(o *pace.Outlook) bool {
			return o.Over.Spent && *o.Left.Energy == -7.5 && o.Needed.EnergyPerLap == nil && o.Why["needed"] != "" && *o.Goal.EnergySuffices == "no"
		}},
		"no time left": {even(7, 360, 15), book.Plan{Time: &limit, Laps: &laps}, func(o *pace.Outlook) bool {
			return *o.Left.Seconds == -35 && o.Needed.Speed == nil && o.Why["needed"] != "" && *o.Goal.TimeSuffices == "no"
		}},
		"zero energy": {even(6, 0, 15), book.Plan{Energy: &wh, Laps: &laps}, func(o *pace.Outlook) bool {
			return o.Over == nil && o.Why["allowance_over"] != "" && o.Pace.Efficiency == nil && *o.Goal.Energy == 0 && *o.Goal.EnergySuffices == "yes"
		}},
		"regeneration": {even(6, -50, 15), book.Plan{Energy: &wh, Laps: &laps}, func(o *pace.Outlook) bool {
			return o.Over == nil && o.Why["allowance_over"] != "" && o.Pace.PerKM.Mean < 0 && o.Pace.Efficiency == nil && *o.Left.Energy > wh
		}},
		"stands": {stands, book.Plan{Laps: &laps, Energy: &some}, func(o *pace.Outlook) bool {
			return o.State == "paused" && o.Lap.EndsAt == nil && o.Why["lap.ends_at"] != "" && *o.Lap.Seconds == 45 && o.Goal.At == nil &&
				strings.Contains(fmt.Sprint(o.InWords()), "[allowance over after 30s of driving, 6.75 ± 0.00 laps, 4.05 km]")
		}},
		"away": {away, book.Plan{Laps: &laps}, func(o *pace.Outlook) bool { return o.State == "paused" && o.Goal.At == nil && o.Goal.Remaining != nil }},
		"pauses in all": {pauses, book.Plan{Laps: &laps}, func(o *pace.Outlook) bool {
			return o.Pace.Of == "minutes" && o.Lap.EndsAt == nil && o.Goal == nil && o.Why["goal"] != ""
		}},
		"ended": {ended, book.Plan{Energy: &wh, Laps: &laps}, func(o *pace.Outlook) bool {
			return o.State == "ended" && !o.Goal.Reached && *o.Goal.EnergySuffices == "no" && o.Needed == nil && o.Lap == nil && *o.Left.Laps == 3.75 &&
				strings.Contains(fmt.Sprint(o.InWords()), "[left 7.5 Wh over the plan, 3.75 laps] ") && strings.Contains(fmt.Sprint(o.InWords()), "[goal not reached, 6m15s")
		}},
		"reached": {reached, book.Plan{Energy: &wh, Laps: &laps, Time: &limit}, func(o *pace.Outlook) bool {
			return o.Goal.Reached && *o.Goal.Energy == 60 && *o.Goal.Seconds == 600 && *o.Goal.EnergySuffices == "no" && *o.Goal.TimeSuffices == "no" && o.Needed == nil
		}},
		"reached, and driven on": {reached, book.Plan{Energy: &enough, Laps: &laps, Time: &late}, func(o *pace.Outlook) bool {
			said := fmt.Sprint(o.InWords())
			return *o.Left.Energy == 1 && *o.Left.Laps == 0 && *o.Left.Seconds == 100 && *o.Goal.EnergyMargin == 1 && *o.SoFar.Energy == 60 && o.SoFar.Laps == 10 &&
				o.Over == nil && o.Why["allowance_over"] != "" && o.Lap.Lap == 13 &&
				strings.Contains(said, "[left 1.0 Wh, 0.00 laps, 1m40s]") && strings.Contains(said, "[goal reached at 10:10:00 UTC, 10m0s, 60.0 Wh, 6.00 km, energy sufficed, time sufficed]")
		}},
		"reached by the time": {byTime, book.Plan{Energy: &wh, Time: &half}, func(o *pace.Outlook) bool {
			return o.SoFar.Laps == 6 && math.Abs(*o.SoFar.Share-0.5) < 1e-9 && *o.Left.Seconds == 0 && *o.Left.Energy == -9 && o.Over.Spent
		}},
		"astray": {astray, book.Plan{Laps: &laps}, func(o *pace.Outlook) bool {
			return o.Lap.EndsAt == nil && o.Why["lap.ends_at"] != "" && *o.SoFar.Share == 1
		}},
		"a single lap": {one, book.Plan{Energy: &wh, Laps: &laps}, func(o *pace.Outlook) bool {
			return o.Pace.N == 1 && o.Pace.Seconds.Spread == nil && o.Lap.Error == nil && o.Over.Error == nil && *o.Goal.EnergySuffices == "unsure" &&
				strings.Contains(fmt.Sprint(o.InWords()), "of the last lap]") &&
				strings.Contains(fmt.Sprint(o.InWords()), "[goal expected, about 10m0s, about 60 Wh, 6.00 km, too early to say whether the energy suffices]")
		}},
		"a single lap that took it all": {one, book.Plan{Energy: &over, Laps: &laps}, func(o *pace.Outlook) bool {
			return o.Over.Spent && *o.Goal.EnergySuffices == "no"
		}},
		"old laps": {long, book.Plan{}, func(o *pace.Outlook) bool { return o.Pace.Of == "minutes" && o.Lap.EndsAt == nil }},
		"nothing planned": {even(6, 360, 15), book.Plan{}, func(o *pace.Outlook) bool {
			return o.Lap.EndsAt != nil && o.Left == nil && o.Over == nil && o.Goal == nil && o.Needed == nil && o.Why["goal"] != ""
		}},
		"not measured": {none, book.Plan{Energy: &wh, Distance: &km, Laps: &laps}, func(o *pace.Outlook) bool {
			return *o.Lap.Seconds == 45 && o.Over == nil && o.Goal.Energy == nil && o.Goal.EnergySuffices == nil && o.Pace.Speed == nil && *o.SoFar.Share == 0.25
		}},
		"many gaps":  {silent, book.Plan{Laps: &laps}, func(o *pace.Outlook) bool { return o.Pace == nil && o.Why["pace"] != "" && *o.Left.Laps == 4 }},
		"no records": {&pace.Run{}, book.Plan{Energy: &wh}, func(o *pace.Outlook) bool { return o.SoFar == nil && o.Why["so_far"] != "" }},
		"far away": {even(6, 1e-300, 15), book.Plan{Energy: &wh}, func(o *pace.Outlook) bool {
			return o.Over.At == nil && strings.Contains(fmt.Sprint(o.InWords()), "over in more than 400 days")
		}},
	} {
		got := pace.Of(tc.run, tc.plan)
		text, err := json.Marshal(got) // which neither NaN nor an infinity survives
		if err != nil || !tc.check(got) {
			t.Errorf("%s: %s, %v", name, text, err)
		}
	}
}

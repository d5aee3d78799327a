package energy

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/ecovolt/telemetryd/timeseries/channel/unit"
)

// through is a lap's way through a stretch, which is a sector, or one of the two goes at one in which
// laps begin: between them lies a whole lap, and what their speeds differ by is no variation.
type through struct {
	passage
	lap      int64
	from, to time.Time
	started  bool // the car stood there, or was on its way from standing or to it
}

const (
	// beside is for how long before and behind a stretch a car that is about to stop, or that
	// has stood, is not driving as it likes.
	beside = 10 * time.Second
	// worthwhile is which share of the run's energy an advice saves at least.
	worthwhile = 0.001
	// comparable is by how much longer, as a share, another lap may take through a sector
	// and still show how it is driven with less.
	comparable = 0.01
	// surer is of how many of its standard errors a saving is at least that is the best of
	// many: chance is the best of many, too.
	surer = 4.0
	// leastLaps is of how many laps a stretch is compared.
	leastLaps = 3
)

// through is how a lap was driven between two moments.
func (d *drive) through(lap int64, from, to time.Time) through {
	t := through{lap: lap, from: from.UTC(), to: to.UTC()}
	t.sums, t.seconds = d.between(from.UnixMicro(), to.UnixMicro()), to.Sub(from).Seconds()
	begin, end := from.Add(-beside).UnixMicro(), to.Add(beside).UnixMicro()
	for i := sort.Search(len(d.steps), func(i int) bool { return d.steps[i].At >= begin }); i < len(d.steps) && d.steps[i].At <= end && !t.started; i++ {
		t.started = d.square[i] < slow*slow/2
	}
	return t
}

// advise adds what would save energy in a stretch of a sector. Passes in which the car started or
// stopped are no example, and nobody can save what those took.
func (a *Balance) advise(f *fit, s *SpentSector, stretch string, list []through) {
	list = slices.DeleteFunc(list, func(t through) bool { return t.started })
	add := func(advice *Advice, format string, args ...any) {
		if advice != nil && advice.Saving >= worthwhile*a.Run.Energy {
			advice.Sector, advice.Name = s.Sector, stretch
			advice.Text = stretch + fmt.Sprintf(format, args...)
			a.Advice = append(a.Advice, *advice)
		}
	}
	if one := f.asInLap(list); one != nil {
		add(one, " as in lap %d, at a comparable time: %s Wh less in %s (measured %.2f Wh; the rest is speed that was taken along).", one.Lap, about(one.Saving, one.Error), laps(one.Laps), *one.Records)
	}
	if one := f.evenly(list); one != nil {
		add(one, " at an even speed in the same time: %s Wh less in %s, by the model; in lap %d the speed varied most.", about(one.Saving, one.Error), laps(one.Laps), one.Lap)
	}
}

func laps(n int) string {
	if n == 1 {
		return "1 lap"
	}
	return fmt.Sprintf("%d laps", n)
}

// about writes a value with its standard error.
func about(value, off float64) string {
	return unit.WithError(value, off, func(v float64, digits int) string { return strconv.FormatFloat(v, 'f', digits, 64) })
}

// asInLap looks for the lap that the others had best been driven like through a stretch.
// What a lap left it quicker by than another is energy that it took along: that is what
// the speeds cost by the model.
func (f *fit) asInLap(list []through) *Advice {
	if len(list) < leastLaps || !(f.has[kinetic] && f.sure(kinetic)) {
		return nil
	}
	var best *Advice
	for i := range list {
		like := &list[i]
		n, records, carried := 0, 0.0, 0.0
		for k := range list {
			if l := &list[k]; k != i && like.seconds <= l.seconds*(1+comparable) {
				n++
				records += l.energy - like.energy
				carried += f.k[kinetic] * (l.amounts[kinetic] - like.amounts[kinetic])
			}
		}
		saving := records - carried
		// The lap to drive like is in every difference.
		off := f.uncertain(0, n*n+n)
		if saving > surer*off && (best == nil || saving/wattHour > best.Saving) {
			measured := records / wattHour
			best = &Advice{Kind: "as_in_lap", Lap: like.lap, From: like.from, To: like.to, Laps: n, Saving: saving / wattHour, Error: off / wattHour, Records: &measured}
		}
	}
	return best
}

// evenly is what an even speed through a stretch would save.
func (f *fit) evenly(list []through) *Advice {
	if !f.told || len(list) == 0 {
		return nil
	}
	sum, most := 0.0, 0
	for i := range list {
		more := list[i].varying()
		sum += more
		if more > list[most].varying() {
			most = i
		}
	}
	if !(sum > 0) {
		return nil
	}
	l := &list[most]
	return &Advice{Kind: "even_speed", Lap: l.lap, From: l.from, To: l.to, Laps: len(list), Saving: f.k[drag] * sum / wattHour, Error: f.off(drag) * sum / wattHour}
}

// verdict says it in sentences.
func (a *Balance) verdict() []string {
	list := []string{}
	if a.Model == nil {
		return append(list, "No model of the energy: "+a.Why+".")
	}
	if r := a.Run; r.Energy > 0 {
		parts := slices.Clone(r.Terms)
		slices.SortStableFunc(parts, func(x, y Took) int { return cmp.Compare(y.Energy, x.Energy) })
		text := ""
		for _, p := range parts {
			if share := 100 * p.Energy / r.Energy; share >= 1 {
				text += fmt.Sprintf("%s %.0f %%, ", InWords(p.Term), share)
			}
		}
		list = append(list, fmt.Sprintf("Where %.1f Wh went: %sstanding %.0f %%, brakes and what the model does not explain %s %%.", r.Energy, text, 100*r.Standing/r.Energy, about(100*r.Rest/r.Energy, 100*r.Error/r.Energy)))
	}
	if s := a.Score; s != nil {
		list = append(list, fmt.Sprintf("At an even speed, in the same time, %s would have taken %s %% of what they did: varying the speed cost %.1f Wh.", laps(s.Laps), about(s.Percent, s.Error), s.Varying))
	} else if a.Why != "" {
		list = append(list, "No score: "+a.Why+".")
	}
	if len(a.Advice) > 0 {
		list = append(list, "The most to gain: "+a.Advice[0].Text)
	}
	return list
}

// InWords is a term as it stands in a sentence.
func InWords(term string) string { return strings.ReplaceAll(term, "_", " ") }

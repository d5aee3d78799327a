package compare

import (
	"context"
	"fmt"
	"math"
	"sort"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/timeseries/analysis"
	"github.com/ecovolt/telemetryd/timeseries/analysis/still"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/record"
	"github.com/ecovolt/telemetryd/timeseries/record/walk"
	"github.com/ecovolt/telemetryd/timeseries/series/usual"
)

const (
	// mostBeside bounds how much before and after a lap is read, for values at its
	// ends that lie between two records.
	mostBeside = time.Minute
	// textBytes is how much of a text is shown.
	textBytes = 200
)

// records are what a lap's records say; times are s since it began.
type records struct {
	gaps     [][2]float64
	channels []values
	seconds  float64 // that count for the variance of speed
	sum, sq  float64 // integrals of speed and of its square over those
}

// values are one channel's.
type values struct {
	channel.Channel
	t    []float64
	v    []float64
	text []string // instead of v
	gap  float64
}

// readRecords reads the records of a lap once.
func readRecords(ctx context.Context, tx pgx.Tx, l *laid, want []channel.Channel) (*records, error) {
	steps, err := usualSteps(ctx, tx, l.course.Session, want)
	if err != nil {
		return nil, err
	}
	beside := channel.GapAfter(0)
	for _, step := range steps {
		beside = max(beside, min(mostBeside, channel.GapAfter(step)))
	}
	columns := []string{"time", analysis.Speed}
	r := &records{channels: make([]values, len(want))}
	for k, c := range want {
		kind := "float8"
		if c.Type == channel.Text {
			kind = "text"
		}
		columns = append(columns, "("+c.SQL()+")::"+kind)
		r.channels[k].Channel = c
	}
	from, to := l.way.From, l.way.To
	rows, err := tx.Query(ctx, `
		SELECT `+strings.Join(columns, ", ")+`
		FROM telemetry
		WHERE session = $1 AND time >= $2 AND time <= $3
		ORDER BY time, batch, ord`, l.course.Session, from.Add(-beside), to.Add(beside))
	if err != nil {
		return nil, err
	}
	var all, speed values
	begin := from.UnixMicro()
	err = record.ReadColumns(rows, func(c *record.Columns) {
		t := float64(c.Micros()-begin) / 1e6
		all.t = append(all.t, t)
		if v := c.Float(); !math.IsNaN(v) && !math.IsInf(v, 0) {
			speed.t, speed.v = append(speed.t, t), append(speed.v, v)
		}
		for k := range r.channels {
			one := &r.channels[k]
			if one.Type == channel.Text {
				if text := c.Text(textBytes); text != "" {
					one.t, one.text = append(one.t, t), append(one.text, text)
				}
			} else if v := c.Float(); !math.IsNaN(v) && !math.IsInf(v, 0) {
				one.t, one.v = append(one.t, t), append(one.v, v)
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("read the records of a lap: %w", err)
	}
	if err := r.walk(ctx, tx, l, beside); err != nil {
		return nil, err
	}
	all.gap, speed.gap = gapOf(all.t), gapOf(speed.t)
	for k := range r.channels {
		one := &r.channels[k]
		if step, ok := steps[one.Name]; ok {
			one.gap = channel.GapAfter(step).Seconds()
		} else {
			one.gap = gapOf(one.t)
		}
	}
	r.findGaps(all, to.Sub(from).Seconds(), l.course.First.Before(from.Add(-beside)), l.course.Last.After(to.Add(beside)))
	r.drive(speed, to.Sub(from).Seconds())
	return r, nil
}

// walk reads the channels whose value in a record depends on those before it.
func (r *records) walk(ctx context.Context, tx pgx.Tx, l *laid, beside time.Duration) error {
	var channels []channel.Channel
	var own []*values
	for k := range r.channels {
		if one := &r.channels[k]; one.Neighbours() {
			channels, own = append(channels, one.Channel), append(own, one)
		}
	}
	begin := l.way.From.UnixMicro()
	return walk.Read(ctx, tx, l.course.Session, channels, l.way.From.Add(-beside), l.way.To.Add(beside+time.Microsecond), func(int64) {}, func(k int, value float64, t int64) {
		own[k].t, own[k].v = append(own[k].t, float64(t-begin)/1e6), append(own[k].v, value)
	})
}

// usualSteps are those of the channels of a run, by its summary; what that does
// not know, or is too old to, is missing.
func usualSteps(ctx context.Context, tx pgx.Tx, session int32, want []channel.Channel) (map[string]time.Duration, error) {
	names := make([]string, len(want))
	for i, c := range want {
		names[i] = c.Name
	}
	var known map[string]float64
	err := tx.QueryRow(ctx, "SELECT "+usual.KnownSteps+" FROM sessions s LEFT JOIN session_summaries m USING (session) WHERE s.session = $1", session, names).Scan(&known)
	if err != nil {
		return nil, fmt.Errorf("read how often channels are sent: %w", err)
	}
	steps := map[string]time.Duration{}
	for name, seconds := range known {
		if seconds > 0 {
			steps[name] = time.Duration(seconds * float64(time.Second))
		}
	}
	return steps, nil
}

// gapOf is from which silence on these times have a gap, s.
func gapOf(t []float64) float64 {
	var steps []time.Duration
	for i := 1; i < len(t); i++ {
		steps = append(steps, time.Duration(math.Round((t[i]-t[i-1])*1e6))*time.Microsecond)
	}
	return channel.GapAfter(channel.UsualStep(steps)).Seconds()
}

// findGaps finds when the lap has no records. It is told whether the run has
// some before and after what was read.
func (r *records) findGaps(all values, seconds float64, before, after bool) {
	add := func(from, to float64) {
		if from, to = max(0, from), min(seconds, to); from < to {
			r.gaps = append(r.gaps, [2]float64{from, to})
		}
	}
	last := len(all.t) - 1
	if last < 0 {
		add(0, seconds)
		return
	}
	if first := all.t[0]; before || first > all.gap {
		add(0, first)
	}
	for i := 1; i <= last; i++ {
		if all.t[i]-all.t[i-1] > all.gap {
			add(all.t[i-1], all.t[i])
		}
	}
	if end := all.t[last]; after || seconds-end > all.gap {
		add(end, seconds)
	}
}

// drive sums up the speed while the car did not stand.
func (r *records) drive(speed values, seconds float64) {
	for i := 1; i < len(speed.t); i++ {
		a, b, took := speed.v[i-1], speed.v[i], speed.t[i]-speed.t[i-1]
		if speed.t[i-1] < 0 || speed.t[i] > seconds || took > speed.gap || a < still.Standing || b < still.Standing {
			continue
		}
		r.seconds += took
		r.sum += took * (a + b) / 2
		r.sq += took * (a*a + a*b + b*b) / 3
	}
}

// cruise is the variance of speed; see ComparedLap.Cruise.
func (r *records) cruise() *float64 {
	if r.seconds == 0 {
		return nil
	}
	mean := r.sum / r.seconds
	return number(max(0, r.sq/r.seconds-mean*mean))
}

// means are those of the channels that are numbers, of records at these times, s
// since the lap began, begin included.
func (r *records) means(times [][2]float64) Means {
	all := Means{}
	for k := range r.channels {
		one := &r.channels[k]
		if one.Type == channel.Text {
			continue
		}
		var m analysis.LapMetric
		sum, low, high := 0.0, math.Inf(1), math.Inf(-1)
		for _, part := range times {
			for i := sort.SearchFloat64s(one.t, part[0]); i < len(one.t) && one.t[i] < part[1]; i++ {
				v := one.v[i]
				m.Count++
				sum, low, high = sum+v, min(low, v), max(high, v)
			}
		}
		if m.Count > 0 {
			mean := sum / float64(m.Count)
			m.Mean, m.Min, m.Max = number(mean), &low, &high
		}
		all[one.Name] = m
	}
	return all
}

// at is the channel at the times of a lap: numbers, texts, or nil.
func (v *values) at(when []state) []any {
	list := make([]any, len(when))
	for i := range when {
		t := when[i].at
		if math.IsNaN(t) {
			continue
		}
		// A millionth of a second is how exactly records know their time.
		k := sort.Search(len(v.t), func(k int) bool { return v.t[k] > t+5e-7 })
		switch {
		case k == 0:
		case v.Type == channel.Text:
			if t-v.t[k-1] <= v.gap {
				list[i] = v.text[k-1]
			}
		case v.Type == channel.Int:
			if t-v.t[k-1] <= v.gap {
				list[i] = v.v[k-1]
			}
		case t-v.t[k-1] < 1e-6:
			list[i] = v.v[k-1]
		case k < len(v.t) && v.t[k]-v.t[k-1] <= v.gap:
			f := (t - v.t[k-1]) / (v.t[k] - v.t[k-1])
			list[i] = v.v[k-1] + f*(v.v[k]-v.v[k-1])
		}
	}
	return list
}

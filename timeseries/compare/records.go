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
	"github.com/ecovolt/telemetryd/timeseries/column"
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

// source is where the records of a run are read.
type source struct {
	steps  map[string]time.Duration // the usual ones of channels, by the run's summary: what that does not know, or is too old to, is missing
	beside time.Duration            // how much before and after a lap is read
	held   column.Run
}

// source finds out what is known and held of a run.
func (r *Reader) source(ctx context.Context, tx pgx.Tx, c *analysis.Course, want []channel.Channel) (*source, error) {
	cat, err := r.rollups.Catalog(ctx, tx)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(want))
	for i, c := range want {
		names[i] = c.Name
	}
	var known map[string]float64
	state := column.State{ID: c.ID, Session: c.Session, Records: c.Records, From: c.First.UnixMicro(), To: c.Last.UnixMicro() + 1}
	err = tx.QueryRow(ctx, `
		SELECT `+usual.KnownSteps+`, s.rewritten, s.batch, `+column.Growing+`
		FROM sessions s LEFT JOIN session_summaries m USING (session)
		WHERE s.session = $1`, c.Session, names).Scan(&known, &state.Rewritten, &state.Batch, &state.Growing)
	if err != nil {
		return nil, fmt.Errorf("read how often channels are sent: %w", err)
	}
	s := &source{steps: map[string]time.Duration{}, beside: channel.GapAfter(0)}
	for name, seconds := range known {
		if seconds > 0 {
			step := time.Duration(seconds * float64(time.Second))
			s.steps[name] = step
			s.beside = max(s.beside, min(mostBeside, channel.GapAfter(step)))
		}
	}
	s.held, err = r.columns.Open(ctx, tx, state, column.Loader{Pool: r.pool, Settings: cat.Settings})
	return s, err
}

// records are what a lap's records say; times are s since it began.
type records struct {
	all, speed values
	channels   []values
	gaps       [][2]float64
	seconds    float64 // that count for the variance of speed
	sum, sq    float64 // integrals of speed and of its square over those
}

// values are one channel's, or with only times those of all records.
type values struct {
	channel.Channel
	t    []float64
	v    []float64
	text []string // instead of v
	gap  float64
}

func newRecords(want []channel.Channel) *records {
	r := &records{channels: make([]values, len(want))}
	for k, c := range want {
		r.channels[k].Channel = c
	}
	return r
}

// reset forgets the lap, and keeps the room that it took for the next one.
func (r *records) reset() {
	for _, v := range append(r.measured(), &r.all) {
		v.t, v.v, v.text = v.t[:0], v.v[:0], v.text[:0]
	}
	r.gaps, r.seconds, r.sum, r.sq = r.gaps[:0], 0, 0, 0
}

// measured are the speed and the channels.
func (r *records) measured() []*values {
	list := []*values{&r.speed}
	for k := range r.channels {
		list = append(list, &r.channels[k])
	}
	return list
}

func (v *values) add(t, value float64) {
	if !math.IsNaN(value) && !math.IsInf(value, 0) {
		v.t, v.v = append(v.t, t), append(v.v, value)
	}
}

// read reads the records of a lap once. Where it has more than most, some are missing.
func (r *records) read(ctx context.Context, tx pgx.Tx, l *laid, s *source, most int) error {
	r.reset()
	from, to := l.way.From.Add(-s.beside), l.way.To.Add(s.beside)
	if !r.readHeld(l, s.held, from, to) {
		if err := r.readStored(ctx, tx, l, from, to, most+1); err != nil {
			return fmt.Errorf("read the records of a lap: %w", err)
		}
	}
	if len(r.all.t) > most {
		return nil
	}
	if err := r.walk(ctx, tx, l, from, to); err != nil {
		return err
	}
	r.all.gap, r.speed.gap = gapOf(r.all.t), gapOf(r.speed.t)
	for k := range r.channels {
		one := &r.channels[k]
		if step, ok := s.steps[one.Name]; ok {
			one.gap = channel.GapAfter(step).Seconds()
		} else {
			one.gap = gapOf(one.t)
		}
	}
	seconds := l.way.To.Sub(l.way.From).Seconds()
	r.findGaps(seconds, l.course.First.Before(from), l.course.Last.After(to))
	r.drive(seconds)
	return nil
}

// since is a time, µs since 1970, in s since a lap began.
func (l *laid) since(micros int64) float64 { return float64(micros-l.way.From.UnixMicro()) / 1e6 }

// readHeld reads records from memory, if they are held.
func (r *records) readHeld(l *laid, held column.Run, from, to time.Time) bool {
	columns := []string{analysis.Speed}
	for k := range r.channels {
		c := &r.channels[k].Channel
		if c.Type == channel.Text || c.Member != "" || c.Neighbours() {
			return false
		}
		columns = append(columns, c.Number())
	}
	rows, ok := held.Rows(column.Table{From: "telemetry", Time: "time"}, columns, from.UnixMicro(), to.UnixMicro()+1)
	if !ok {
		return false
	}
	defer rows.Release()
	measured := r.measured()
	rows.Each(func(times []int64, columns [][]float64) {
		begin := len(r.all.t)
		for _, at := range times {
			r.all.t = append(r.all.t, l.since(at))
		}
		for k, column := range columns {
			for i, t := range r.all.t[begin:] {
				measured[k].add(t, column[i])
			}
		}
	})
	return true
}

// readStored reads records from the database, so many at most.
func (r *records) readStored(ctx context.Context, tx pgx.Tx, l *laid, from, to time.Time, most int) error {
	columns := []string{"time", analysis.Speed}
	for k := range r.channels {
		c := &r.channels[k].Channel
		kind := "float8"
		if c.Type == channel.Text {
			kind = "text"
		}
		columns = append(columns, "("+c.SQL()+")::"+kind)
	}
	rows, err := tx.Query(ctx, `
		SELECT `+strings.Join(columns, ", ")+`
		FROM telemetry
		WHERE session = $1 AND time >= $2 AND time <= $3
		ORDER BY time, batch, ord
		LIMIT $4`, l.course.Session, from, to, most)
	if err != nil {
		return err
	}
	measured := r.measured()
	return record.ReadColumns(rows, func(c *record.Columns) {
		t := l.since(c.Micros())
		r.all.t = append(r.all.t, t)
		for _, of := range measured {
			if of.Type != channel.Text {
				of.add(t, c.Float())
			} else if text := c.Text(textBytes); text != "" {
				of.t, of.text = append(of.t, t), append(of.text, text)
			}
		}
	})
}

// walk reads the channels whose value in a record depends on those before it.
func (r *records) walk(ctx context.Context, tx pgx.Tx, l *laid, from, to time.Time) error {
	var channels []channel.Channel
	var own []*values
	for k := range r.channels {
		if one := &r.channels[k]; one.Neighbours() {
			channels, own = append(channels, one.Channel), append(own, one)
		}
	}
	return walk.Read(ctx, tx, l.course.Session, channels, from, to.Add(time.Microsecond), func(int64) {}, func(k int, value float64, t int64) {
		own[k].t, own[k].v = append(own[k].t, l.since(t)), append(own[k].v, value)
	})
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
func (r *records) findGaps(seconds float64, before, after bool) {
	all := &r.all
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
func (r *records) drive(seconds float64) {
	speed := &r.speed
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

// about is the channel about a time of the lap: the mean of 1.5 s to each side, since one record alone is as
// noisy as the sensor; of less where there are no records on both sides, and nil where it says nothing then.
func (v *values) about(t float64) *float64 {
	const each, side = 0.25, 6
	var when [2*side + 1]state
	for i := range when {
		when[i].at = t + each*float64(i-side)
	}
	all := v.at(when[:])
	sum, ok := all[side].(float64)
	if !ok {
		return nil
	}
	n := 1.0
	for k := 1; k <= side; k++ {
		before, ok := all[side-k].(float64)
		behind, too := all[side+k].(float64)
		if !ok || !too {
			break
		}
		sum, n = sum+before+behind, n+2
	}
	return number(sum / n)
}

package series

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/record"
	"github.com/ecovolt/telemetryd/timeseries/record/walk"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
	"github.com/ecovolt/telemetryd/timeseries/series/usual"
)

// sampled are the usual steps of a run: of all its records, and of those that
// carry each channel. Counts are those of the records that were looked at.
type sampled struct {
	all    time.Duration
	steps  map[string]time.Duration // by channel
	counts map[string]int64
}

// sample measures how often channels are sent, in those stretches.
func (v *view) sample(ctx context.Context, channels []channel.Channel, stretches []rollup.Span, limit int) (sampled, error) {
	s := sampled{steps: map[string]time.Duration{}, counts: map[string]int64{}}
	var flags strings.Builder
	for _, c := range channels {
		fmt.Fprintf(&flags, ", (%s IS NOT NULL)::int::bigint", c.SQL())
	}
	_, walked := v.apart(channels)
	over := walk.Over(walked.metrics)
	var walks *record.Walks
	sql := "SELECT time" + flags.String() + over.Inputs() + " FROM telemetry WHERE session = $1 AND time >= $2 AND time < $3 ORDER BY time LIMIT $4"
	// The last one stands for every record.
	steps, last := make([][]time.Duration, len(channels)+1), make([]int64, len(channels)+1)
	note := func(k int, t int64) {
		if last[k] != 0 && t > last[k] {
			steps[k] = append(steps[k], time.Duration(t-last[k])*time.Microsecond)
		}
		last[k] = t
	}
	read := func(r *record.Columns) {
		t := r.Micros()
		note(len(channels), t)
		for k, c := range channels {
			if r.Int() != 0 {
				s.counts[c.Name]++
				note(k, t)
			}
		}
		for i, value := range walks.Read(t, r) {
			if !math.IsNaN(value) {
				note(walked.places[i], t)
			}
		}
	}
	var batch pgx.Batch
	for _, stretch := range stretches {
		batch.Queue(sql, v.session, stretch.From, stretch.To, limit).Query(func(rows pgx.Rows) error {
			clear(last) // what lies between two stretches is no step
			walks = over.Walks()
			return record.ReadColumns(rows, read)
		})
	}
	if err := v.tx.SendBatch(ctx, &batch).Close(); err != nil {
		return s, fmt.Errorf("sample how often channels are sent: %w", err)
	}
	for k, c := range channels {
		s.steps[c.Name] = channel.UsualStep(steps[k])
	}
	s.all = channel.UsualStep(steps[len(channels)])
	return s, nil
}

// stretches says where to look for usual steps, and how many records of each to read.
func (v *view) stretches() ([]rollup.Span, int) {
	span := v.span
	if span.From.Before(v.lost) {
		span.From = v.lost
	}
	return usual.Stretches(span, v.records)
}

// usualSteps returns the usual step of each channel: by what the run's summary
// knows of it, or by a sample where the run has more than doubled since or the summary
// knows nothing of such channels: one sample for each version of the run.
func (v *view) usualSteps(ctx context.Context, want wanted) ([]time.Duration, error) {
	all := want.all()
	steps := make([]time.Duration, len(all))
	look := slices.DeleteFunc(slices.Clone(all), func(c channel.Channel) bool { return v.steps != nil && c.HasColumn() })
	s := sampled{steps: map[string]time.Duration{}}
	key := func(c channel.Channel) string { return fmt.Sprintf("%s %q %q", v.version, c.Name, c.Values()) }
	look = slices.DeleteFunc(look, func(c channel.Channel) bool {
		step, ok := v.sampled.Get(key(c))
		if ok {
			s.steps[c.Name] = step
		}
		return ok
	})
	if len(look) > 0 {
		stretches, limit := v.stretches()
		fresh, err := v.sample(ctx, look, stretches, limit)
		if err != nil {
			return nil, err
		}
		for _, c := range look {
			s.steps[c.Name] = fresh.steps[c.Name]
			v.sampled.Put(key(c), fresh.steps[c.Name], 64)
		}
	}
	for k, c := range all {
		if step, ok := s.steps[c.Name]; ok {
			steps[k] = step
		} else {
			steps[k] = seconds(v.steps[c.Name])
		}
	}
	return steps, nil
}

// Sample returns what tx shows of a run, of which that much was known before.
// It leaves the settings of a read in tx, the time limit among them.
func (r *Reader) Sample(ctx context.Context, tx pgx.Tx, session string, before usual.Sample) (usual.Sample, error) {
	cat, err := r.rollups.Catalog(ctx, tx)
	if err != nil {
		return usual.Sample{}, err
	}
	views, err := r.openViews(ctx, tx, cat, []string{session}, nil, nil)
	if err != nil {
		return usual.Sample{}, err
	}
	v := views[0]
	want := v.mayHave()
	stretches, limit := v.stretches()
	counts := map[string]int64{}
	err = v.count(ctx, want.metrics, v.level(24*time.Hour), counts)
	if err == nil && len(stretches) == 1 { // no level counts states
		err = v.count(ctx, want.states, raw, counts)
	}
	if err != nil {
		return usual.Sample{}, err
	}
	// A channel of every record has the step of all; it needs no look.
	look := slices.DeleteFunc(want.all(), func(c channel.Channel) bool {
		n, counted := counts[c.Name]
		return counted && (n == 0 || n == v.records)
	})
	grown := float64(v.records-before.Records) / float64(before.Records)
	if len(stretches) > 1 && before.Records > 0 && grown >= 0 && grown < usual.ResampleAfter {
		newest := sampled{}
		if len(want.states) > 0 {
			if newest, err = v.sample(ctx, want.states, stretches[len(stretches)-1:], limit); err != nil {
				return usual.Sample{}, err
			}
		}
		if before.Take(counts, newest.counts, v.records) {
			return before, nil
		}
	}
	s, err := v.sample(ctx, look, stretches, limit)
	if err != nil {
		return usual.Sample{}, err
	}
	sample := usual.Sample{Channels: map[string]usual.Channel{}, Step: s.all, Records: v.records}
	for _, c := range want.all() {
		n, counted := counts[c.Name]
		step := s.all
		if seldom, ok := s.steps[c.Name]; ok {
			step = seldom
		}
		if !counted { // a state of a long run
			n = s.counts[c.Name]
		}
		if n == 0 {
			continue
		}
		if step == 0 && n > 1 && counted {
			step = v.span.Length() / time.Duration(n) // too seldom for the sample
		}
		one := usual.Channel{Name: c.Name, Records: n, Step: step.Seconds(), Gap: channel.GapAfter(step).Seconds()}
		if !counted {
			one.Records = 0
		}
		sample.Channels[c.Name] = one
	}
	return sample, nil
}

// mayHave are the channels with a column that series show and that a record of the
// run may carry.
func (v *view) mayHave() (w wanted) {
	for i, c := range channel.All {
		switch {
		case !v.carried.Has(i):
		case c.Charted:
			w.metrics = append(w.metrics, c)
		case rollup.IsState(c):
			w.states = append(w.states, c)
		}
	}
	return w
}

// count adds to counts how many records carry each channel, by the level and by the
// records where that lacks something.
func (v *view) count(ctx context.Context, channels []channel.Channel, level int, counts map[string]int64) error {
	if len(channels) == 0 {
		return nil // a query of no column has a row for each record
	}
	var batch pgx.Batch
	for _, p := range v.cover(v.span, level) {
		var columns []string
		for _, c := range channels {
			if p.level == raw {
				columns = append(columns, "count("+c.SQL()+")")
			} else {
				columns = append(columns, "sum("+c.Name+"_count::int)")
			}
		}
		table, timeColumn := v.relation(p.level)
		queue(&batch, func(r *record.Columns) {
			for _, c := range channels {
				counts[c.Name] += r.Int()
			}
		}, fmt.Sprintf("SELECT %s FROM %s WHERE session = $1 AND %[3]s >= $2 AND %[3]s < $3", strings.Join(columns, ", "), table, timeColumn),
			v.session, p.span.From, p.span.To)
	}
	if err := v.tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("count what carries a channel: %w", err)
	}
	return nil
}

package series

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/record"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

// A run of more records than sampleRecords is sampled for its usual steps, in
// so many stretches over its whole length. A thousand records of a stretch hold
// a hundred of a channel in every tenth.
const (
	sampleRecords   = 16_000
	sampleStretches = 16
)

// sampled are the usual steps of a run: of all its records, and of those that
// carry each channel. Counts are those of the records that were looked at.
type sampled struct {
	all    time.Duration
	steps  []time.Duration
	counts []int64
}

// sample measures how often channels are sent.
func (v *view) sample(ctx context.Context, channels []channel.Channel) (sampled, error) {
	s := sampled{steps: make([]time.Duration, len(channels)), counts: make([]int64, len(channels))}
	span := v.span
	if span.From.Before(v.lost) {
		span.From = v.lost
	}
	if span.Empty() {
		return s, nil
	}
	var flags strings.Builder
	for _, c := range channels {
		fmt.Fprintf(&flags, ", (%s IS NOT NULL)::int::bigint", c.Name)
	}
	sql := "SELECT time" + flags.String() + " FROM telemetry WHERE session = $1 AND time >= $2 AND time < $3 ORDER BY time LIMIT $4"
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
		for k := range channels {
			if r.Int() != 0 {
				s.counts[k]++
				note(k, t)
			}
		}
	}
	var batch pgx.Batch
	for _, stretch := range v.stretches(span) {
		batch.Queue(sql, v.session, stretch.From, stretch.To, sampleRecords/len(v.stretches(span))).Query(func(rows pgx.Rows) error {
			clear(last) // what lies between two stretches is no step
			return readRows(rows, read)
		})
	}
	if err := v.tx.SendBatch(ctx, &batch).Close(); err != nil {
		return s, fmt.Errorf("sample how often channels are sent: %w", err)
	}
	for k := range channels {
		s.steps[k] = channel.UsualStep(steps[k])
	}
	s.all = channel.UsualStep(steps[len(channels)])
	return s, nil
}

// stretches says where to look for usual steps: everywhere in a short run.
func (v *view) stretches(span rollup.Span) []rollup.Span {
	if v.records <= sampleRecords {
		return []rollup.Span{span}
	}
	slot := span.Length() / sampleStretches
	// Four times as long as the records of a stretch take on average, so that no
	// query sorts much more than it answers.
	length := min(slot, time.Duration(4*float64(span.Length())/float64(v.records)*sampleRecords/sampleStretches))
	list := make([]rollup.Span, sampleStretches)
	for i := range list {
		from := span.From.Add(time.Duration(i) * slot)
		list[i] = rollup.Span{From: from, To: from.Add(max(length, time.Microsecond))}
	}
	return list
}

// usualSteps returns the usual step of each channel: by what the run's summary
// knows of it, or by a sample where the run has more than doubled since.
func (v *view) usualSteps(ctx context.Context, want wanted) ([]time.Duration, error) {
	channels := want.all()
	if v.steps == nil {
		s, err := v.sample(ctx, channels)
		return s.steps, err
	}
	steps := make([]time.Duration, len(channels))
	for k, c := range channels {
		steps[k] = seconds(v.steps[c.Name])
	}
	return steps, nil
}

// Channel is a channel that a run has.
type Channel struct {
	Name string `json:"name"`
	// Records is how many records carry it; 0 of a text state in a long run,
	// whose are not counted.
	Records int64   `json:"records,omitempty"`
	Step    float64 `json:"step_s"` // usual step between those, s; 0 when unknown
	Gap     float64 `json:"gap_s"`  // a longer silence is a gap, s
}

// Channels returns the channels of a run, by name, that can be charted and that
// a record carries, as tx shows it, and the usual step of all its records. It leaves the
// settings of a read in tx, the time limit among them.
func (r *Reader) Channels(ctx context.Context, tx pgx.Tx, session string) (list map[string]Channel, step time.Duration, err error) {
	cat, err := r.rollups.Catalog(ctx, tx)
	if err != nil {
		return nil, 0, err
	}
	views, err := openViews(ctx, tx, cat, []string{session}, nil)
	if err != nil {
		return nil, 0, err
	}
	v := views[0]
	var want wanted
	for _, c := range channel.All {
		if c.Charted {
			want.metrics = append(want.metrics, c)
		}
	}
	for _, name := range rollup.States {
		c, _ := channel.ByName(name)
		want.states = append(want.states, c)
	}
	s, err := v.sample(ctx, want.all())
	if err != nil {
		return nil, 0, err
	}
	if v.records > sampleRecords {
		if err := v.count(ctx, want.metrics, s.counts); err != nil {
			return nil, 0, err
		}
		for k := range want.states {
			s.counts[len(want.metrics)+k] = min(s.counts[len(want.metrics)+k], 1)
		}
	}
	list = map[string]Channel{}
	for k, c := range want.all() {
		if s.counts[k] == 0 {
			continue
		}
		step := s.steps[k]
		if step == 0 && s.counts[k] > 1 && k < len(want.metrics) {
			step = v.span.Length() / time.Duration(s.counts[k]) // too seldom for the sample
		}
		one := Channel{Name: c.Name, Records: s.counts[k], Step: step.Seconds(), Gap: channel.GapAfter(step).Seconds()}
		if v.records > sampleRecords && k >= len(want.metrics) {
			one.Records = 0
		}
		list[c.Name] = one
	}
	return list, s.all, nil
}

// count counts the records that carry each metric, by the levels and by the
// records where those lack something.
func (v *view) count(ctx context.Context, metrics []channel.Channel, counts []int64) error {
	clear(counts[:len(metrics)])
	var batch pgx.Batch
	for _, p := range v.cover(v.span, v.level(24*time.Hour)) {
		var columns []string
		for _, c := range metrics {
			if p.level == raw {
				columns = append(columns, "count("+c.Name+")")
			} else {
				columns = append(columns, "sum("+c.Name+"_count::int)")
			}
		}
		table, timeColumn := v.relation(p.level)
		queue(&batch, func(r *record.Columns) {
			for k := range metrics {
				counts[k] += r.Int()
			}
		}, fmt.Sprintf("SELECT %s FROM %s WHERE session = $1 AND %[3]s >= $2 AND %[3]s < $3", strings.Join(columns, ", "), table, timeColumn),
			v.session, p.span.From, p.span.To)
	}
	if err := v.tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("count what channels carry: %w", err)
	}
	return nil
}

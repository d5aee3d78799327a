package timeseries

import (
	"context"
	"slices"
	"time"

	"github.com/ecovolt/telemetryd/timeseries/registry"
	"github.com/ecovolt/telemetryd/timeseries/rollup/tall"
)

// HeldChannel is what a run has of a channel. Values are in the channel's unit.
type HeldChannel struct {
	registry.Channel
	Records     *int64     // that carry it; nil where they are not counted
	First, Last *time.Time // the oldest and the newest of them
	Min, Max    *float64   // nil of a text
	Levels      bool       // charts of long windows have levels to read, not only records
}

// WithoutLevels counts channels of runs that have no levels since too many others
// have: charts of them are made from the records.
func (s *Store) WithoutLevels(ctx context.Context) (int64, error) { return tall.Over(ctx, s.reads) }

// SessionChannels lists the channels that a run has, and the members of its records
// that became none. It returns a NotFound fault for a run that does not exist.
func (s *Store) SessionChannels(ctx context.Context, id string) (held []HeldChannel, others []registry.Held, err error) {
	sum, err := s.Summary(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	extents, err := s.Series.Extents(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	set, err := s.Channels.Current(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range sum.Channels {
		known, _ := set.Find(c.Name)
		one := HeldChannel{Channel: known, Levels: true}
		if e, ok := extents[c.Name]; ok {
			one.Records, one.First, one.Last, one.Min, one.Max = &e.Records, &e.First, &e.Last, &e.Min, &e.Max
		} else if c.Records > 0 {
			one.Records = &c.Records
		}
		held = append(held, one)
	}
	members, err := s.Channels.Held(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	levels, err := tall.Members(ctx, s.reads, id)
	if err != nil {
		return nil, nil, err
	}
	for _, m := range members {
		if m.Channel == nil {
			others = append(others, m)
			continue
		}
		first, last := m.FirstTime.UTC(), m.LastTime.UTC()
		held = append(held, HeldChannel{*m.Channel, &m.Records, &first, &last, m.Low, m.High, levels[m.Member.Member]})
	}
	have := map[string]bool{}
	for _, c := range held {
		have[c.Name] = true
	}
	for _, c := range set.All() {
		if needs := set.Needs(c); len(needs) > 0 && !slices.ContainsFunc(needs, func(name string) bool { return !have[name] }) {
			held = append(held, HeldChannel{Channel: c})
		}
	}
	return held, others, nil
}

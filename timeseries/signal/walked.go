package signal

import (
	"context"
	"math"
	"slices"
	"sort"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/record/walk"
)

// walked reports whether a channel's value depends on the records before.
func (w *wanted) walked() bool {
	return slices.ContainsFunc(w.all(), func(c channel.Channel) bool { return c.Neighbours() })
}

// itself walks over a channel whose value a record has alone.
type itself struct{}

func (itself) Step(_ int64, input func(i int) (float64, bool)) (float64, bool) { return input(0) }
func (itself) Primed() bool                                                    { return true }

// values are those of a record in the order of wanted.all; NaN where it has none.
type values [3]float64

// walkedTold is after how many records it is told how far a walk has come.
const walkedTold = 10_000

// walk returns the values of all records of a run that are looked at.
func (r *run) walk(ctx context.Context, tx pgx.Tx, want wanted, of *pass) (list []values, err error) {
	channels := want.all()
	for i, c := range channels {
		if !c.Neighbours() {
			channels[i] = channel.Channel{Name: c.Name, Formula: &channel.Formula{Inputs: []string{c.Number()}, Text: c.Number(), Walk: func() channel.Walk { return itself{} }}}
		}
	}
	among, span, over, read := true, 0, false, 0
	err = walk.Read(ctx, tx, r.session, channels, r.window.From, r.window.To, func(micros int64) {
		if read++; read%walkedTold == 0 {
			of.read(walkedTold)
		}
		for span < len(r.spans) && micros >= r.spans[span].To.UnixMicro() {
			span++
		}
		among = r.spans == nil || span < len(r.spans) && micros >= r.spans[span].From.UnixMicro()
		if over = over || len(list) == 2*walk.Most; among && !over {
			list = append(list, values{math.NaN(), math.NaN(), math.NaN()})
		}
	}, func(k int, value float64, _ int64) {
		if among && !over {
			list[len(list)-1][k] = value
		}
	})
	if over {
		return nil, fault.Field("to", "a rate is counted over about %d records; ask for a shorter window", walk.Most)
	}
	return list, err
}

// extentsOf are those of the axes.
func extentsOf(list [][]values, axes int) []extent {
	extents := []extent{nothing, nothing}[:axes]
	for _, values := range list {
		for i := range values {
			for k := range extents {
				extents[k] = extents[k].with(values[i][k], values[i][k])
			}
		}
	}
	return extents
}

// tally has each record counted by itself, as cellsOf does for groups of them.
func tally(list []values, want wanted, axes []*CountedAxis, add func(place []*int, n, with int64, sum float64, m *moments)) {
	finite := func(v, most float64) bool { return math.Abs(v) <= most }
	at, place := make([]int, len(axes)), make([]*int, len(axes))
	for i := range list {
		v := &list[i]
		var m moments
		for k, axis := range axes {
			if place[k] = nil; math.IsNaN(v[k]) {
				continue
			}
			last := len(axis.Edges) - 1
			at[k] = sort.Search(len(axis.Edges), func(e int) bool { return axis.Edges[e] > v[k] })
			if at[k] > last && v[k] == axis.Edges[last] {
				at[k] = last // the last bin has its upper edge
			}
			place[k] = &at[k]
			if finite(v[k], 1e140) {
				m.one[k].n, m.one[k].mean = 1, v[k]
			}
		}
		if len(axes) > 1 && m.one[0].n > 0 && m.one[1].n > 0 {
			m.both.n, m.both.x, m.both.y = 1, v[0], v[1]
		}
		with, sum := int64(0), 0.0
		if of := v[len(axes)]; want.mean != nil && finite(of, 1e290) {
			with, sum = 1, of
		}
		add(place, 1, with, sum, &m)
	}
}

package signal

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
	"github.com/ecovolt/telemetryd/timeseries/series"
)

// extent is the lowest and the highest value of a channel; NaN where there is none.
type extent struct{ low, high float64 }

var nothing = extent{math.NaN(), math.NaN()}

func (e extent) with(low, high float64) extent {
	switch {
	case math.IsNaN(low) || math.IsNaN(high):
		return e
	case math.IsNaN(e.low):
		return extent{low, high}
	}
	return extent{min(e.low, low), max(e.high, high)}
}

func (b *Bins) open() bool { return b.Low == nil || b.High == nil }

// bounds reads from the levels what the channels are at least and at most that are
// counted by, where the request does not say between what; and in which versions of the
// runs. Laps, stays and rates are nothing for levels: their records say it.
func (r *Reader) bounds(ctx context.Context, req *Request, want wanted) ([]extent, []string, error) {
	extents := []extent{nothing, nothing}[:len(want.by)]
	var names []string
	for k, c := range want.by {
		if want.bins[k].open() && !slices.Contains(names, c.Name) {
			names = append(names, c.Name)
		}
	}
	if len(names) == 0 || req.restricted() || want.walked() {
		return extents, nil, nil
	}
	answer, err := r.series.Read(ctx, series.Request{Sessions: req.Runs, Metrics: names, From: req.From, To: req.To, Points: 1, Class: req.Class})
	if err != nil {
		return nil, nil, err
	}
	versions := make([]string, len(req.Runs))
	for i := range answer.Sessions {
		s := &answer.Sessions[i]
		versions[i] = s.Version
		for _, m := range s.Metrics {
			for k, c := range want.by {
				if c.Name == m.Name {
					for i := range m.Min {
						extents[k] = extents[k].with(m.Min[i], m.Max[i])
					}
				}
			}
		}
	}
	return extents, versions, nil
}

// restricted reports whether less than a window is looked at.
func (req *Request) restricted() bool { return len(req.Laps) > 0 || req.Region != nil }

// edges are where bins begin, and where the last ends.
func (b *Bins) edges(param string, e extent) ([]float64, error) {
	low, high := e.low, e.high
	if b.Low != nil {
		low = *b.Low
	}
	if b.High != nil {
		high = *b.High
	}
	switch {
	case math.IsNaN(low) || math.IsNaN(high):
		return []float64{}, nil
	case b.Low != nil && low > high:
		return nil, fault.Field(param+"_low", "no value is as high; the highest is %v", high)
	case low > high:
		return nil, fault.Field(param+"_high", "no value is as low; the lowest is %v", low)
	case low == high: // what never changes stands in the middle
		by := max(0.5, math.Abs(low)/1e6)
		low, high = low-by, high+by
	}
	edges := make([]float64, b.Count+1)
	for i := range edges {
		f := float64(i) / float64(b.Count)
		edges[i] = low + f*(high-low)
		if math.IsInf(high-low, 0) {
			edges[i] = low*(1-f) + high*f
		}
		if i > 0 {
			edges[i] = max(edges[i], edges[i-1])
		}
	}
	edges[b.Count] = high
	return edges, nil
}

// count counts in the records of a snapshot.
func count(ctx context.Context, tx pgx.Tx, req *Request, want wanted, runs []run, extents []extent, piece int) (*Counted, error) {
	if _, err := tx.Exec(ctx, "SET LOCAL plan_cache_mode = force_custom_plan"); err != nil {
		return nil, err
	}
	walks := make([][]values, len(runs))
	open := slices.ContainsFunc(want.bins, func(b Bins) bool { return b.open() })
	var of *pass
	switch {
	case want.walked():
		of = newPass(req, runs, 1, piece)
		for i := range runs {
			if runs[i].window.Empty() {
				continue
			}
			var err error
			if walks[i], err = runs[i].walk(ctx, tx, want, of); err != nil {
				return nil, err
			}
		}
		extents = extentsOf(walks, len(want.by))
	case req.restricted() && open:
		of = newPass(req, runs, 2, piece)
		for i := range runs {
			if err := of.each(&runs[i], func(piece rollup.Span) error { return spread(ctx, tx, want, &runs[i], piece, extents) }); err != nil {
				return nil, err
			}
		}
	default:
		of = newPass(req, runs, 1, piece)
	}
	axes := make([]*CountedAxis, len(want.by))
	cells := 1
	for k, c := range want.by {
		edges, err := want.bins[k].edges([]string{"x", "y"}[k], extents[k])
		if err != nil {
			return nil, err
		}
		axes[k] = &CountedAxis{Channel: c.Name, Unit: c.Unit, Edges: edges}
		cells *= max(0, len(edges)-1)
	}
	a := &Counted{Runs: make([]CountedRun, len(runs)), Counts: make([]int64, cells)}
	var sums []float64
	if want.mean != nil {
		a.Mean = &CountedMean{Channel: want.mean.Name, Unit: want.mean.Unit, Means: make([]*float64, cells), Counts: make([]int64, cells)}
		sums = make([]float64, cells)
	}
	var total moments
	for i := range runs {
		a.Runs[i] = CountedRun{ID: runs[i].id, Version: runs[i].version}
		if runs[i].window.Empty() {
			continue
		}
		add := func(place []*int, n, with int64, sum float64, m *moments) {
			a.Runs[i].Records += n
			total.add(m)
			cell, factor, missing, outside := 0, 1, false, false
			for k, axis := range axes {
				bins := max(0, len(axis.Edges)-1)
				switch p := place[k]; {
				case p == nil:
					axis.Missing += n
					missing = true
				case *p < 1:
					axis.Below += n
					outside = true
				case *p > bins:
					axis.Above += n
					outside = true
				default:
					cell += factor * (*p - 1)
				}
				factor *= bins
			}
			switch {
			case missing:
				a.Missing += n
			case outside:
				a.Outside += n
			default:
				a.Counted += n
				a.Counts[cell] += n
				if a.Mean != nil {
					a.Mean.Counts[cell] += with
					sums[cell] += sum
				}
			}
		}
		if want.walked() {
			tally(walks[i], want, axes, add)
		} else if err := of.each(&runs[i], func(piece rollup.Span) error { return cellsOf(ctx, tx, want, &runs[i], piece, axes, add) }); err != nil {
			return nil, err
		}
		a.Records += a.Runs[i].Records
	}
	for i, sum := range sums {
		if n := a.Mean.Counts[i]; n > 0 {
			mean := sum / float64(n)
			a.Mean.Means[i] = &mean
		}
	}
	total.tell(axes, a)
	a.X = *axes[0]
	if len(axes) > 1 {
		a.Y = axes[1]
	}
	return a, nil
}

// cellsOf groups the records of a piece of a run by the places of their values: 0 is below the
// bins, nil is no value.
func cellsOf(ctx context.Context, tx pgx.Tx, want wanted, r *run, piece rollup.Span, axes []*CountedAxis, add func(place []*int, n, with int64, sum float64, m *moments)) error {
	where, args := r.looked(piece)
	var columns, groups []string
	place := make([]*int, len(axes))
	var into []any
	for k, c := range want.by {
		// The last bin has its upper edge: what is above it begins at the next number.
		edges := slices.Clone(axes[k].Edges)
		if len(edges) > 0 {
			edges[len(edges)-1] = math.Nextafter(edges[len(edges)-1], math.Inf(1))
		}
		args = append(args, edges)
		columns = append(columns, fmt.Sprintf("width_bucket(%s, $%d::double precision[])", c.Number(), len(args)))
		groups = append(groups, fmt.Sprint(k+1))
		into = append(into, &place[k])
	}
	columns = append(columns, "count(*)")
	var n, with int64
	var sum *float64
	into = append(into, &n)
	if want.mean != nil {
		value := "(" + want.mean.Number() + ")"
		finite := " FILTER (WHERE " + value + " BETWEEN -1e290 AND 1e290)" // their sum is a number
		columns = append(columns, "count"+value+finite, "sum"+value+finite)
		into = append(into, &with, &sum)
	}
	var m moments
	columns, into = append(columns, m.columns(want)...), append(into, m.into(len(axes))...)
	rows, err := tx.Query(ctx, "SELECT "+strings.Join(columns, ", ")+" FROM telemetry WHERE "+where+" GROUP BY "+strings.Join(groups, ", "), args...)
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, into, func() error {
		total := 0.0
		if sum != nil {
			total = *sum
		}
		add(place, n, with, total, &m)
		return nil
	})
	return err
}

// spread widens extents by what is looked at of a piece of a run.
func spread(ctx context.Context, tx pgx.Tx, want wanted, r *run, piece rollup.Span, extents []extent) error {
	where, args := r.looked(piece)
	var columns []string
	ends := make([]*float64, 2*len(want.by))
	var into []any
	for k, c := range want.by {
		columns = append(columns, "min("+c.Number()+")", "max("+c.Number()+")")
		into = append(into, &ends[2*k], &ends[2*k+1])
	}
	if err := tx.QueryRow(ctx, "SELECT "+strings.Join(columns, ", ")+" FROM telemetry WHERE "+where, args...).Scan(into...); err != nil {
		return err
	}
	for k := range extents {
		if ends[2*k] != nil {
			extents[k] = extents[k].with(*ends[2*k], *ends[2*k+1])
		}
	}
	return nil
}

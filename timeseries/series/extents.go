package series

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/record"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

// Extent is what a run has of a channel with a column.
type Extent struct {
	Records     int64
	First, Last time.Time // of those records
	Min, Max    float64
}

// Extents returns what a run has of each charted channel that has a column.
func (r *Reader) Extents(ctx context.Context, id string) (extents map[string]Extent, err error) {
	err = r.snapshot(ctx, []string{id}, nil, nil, func(views []*view) (err error) {
		extents, err = views[0].extents(ctx, views[0].mayHave().metrics)
		return err
	})
	if err != nil {
		return nil, fault.Wrap("read what a run has", err)
	}
	return extents, nil
}

func (v *view) extents(ctx context.Context, metrics []channel.Channel) (map[string]Extent, error) {
	if len(metrics) == 0 {
		return nil, nil
	}
	found := make([]Extent, len(metrics))
	// Between these a level knows the first and the last record of each channel.
	first, last := make([]rollup.Span, len(metrics)), make([]rollup.Span, len(metrics))
	var batch pgx.Batch
	for _, p := range v.cover(v.span, v.level(24*time.Hour)) {
		table, timeColumn := v.relation(p.level)
		width := time.Microsecond
		columns := []string{}
		for _, c := range metrics {
			count, low, high, has := "count("+c.Name+")", c.Name, c.Name, c.Name+" IS NOT NULL"
			if p.level != raw {
				count, low, high, has = "coalesce(sum("+c.Name+"_count::int), 0)", c.Name+"_min", c.Name+"_max", c.Name+"_count > 0"
				width = rollup.Levels[p.level].Width
			}
			columns = append(columns, fmt.Sprintf("%s, min(%s), max(%s), min(%[4]s) FILTER (WHERE %[5]s), max(%[4]s) FILTER (WHERE %[5]s)", count, low, high, timeColumn, has))
		}
		queue(&batch, func(r *record.Columns) {
			for m := range metrics {
				e, records, low, high, from, to := &found[m], r.Int(), r.Float(), r.Float(), r.Micros(), r.Micros()
				if records == 0 {
					continue
				}
				begin, end := time.UnixMicro(from).UTC(), time.UnixMicro(to).UTC()
				if e.Records == 0 {
					e.Min, e.Max = math.Inf(1), math.Inf(-1)
				}
				if e.Records == 0 || begin.Before(first[m].From) {
					first[m] = rollup.Span{From: begin, To: begin.Add(width)}
				}
				if e.Records == 0 || end.Add(width).After(last[m].To) {
					last[m] = rollup.Span{From: end, To: end.Add(width)}
				}
				e.Records, e.Min, e.Max = e.Records+records, min(e.Min, low), max(e.Max, high)
			}
		}, fmt.Sprintf("SELECT %s FROM %s WHERE session = $1 AND %[3]s >= $2 AND %[3]s < $3", strings.Join(columns, ", "), table, timeColumn),
			v.session, p.span.From, p.span.To)
	}
	if err := v.tx.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, err
	}
	batch = pgx.Batch{}
	extents := map[string]Extent{}
	for m, c := range metrics {
		if found[m].Records == 0 {
			continue
		}
		v.queueEnd(&batch, c, first[m], "ASC", &found[m].First)
		v.queueEnd(&batch, c, last[m], "DESC", &found[m].Last)
	}
	if err := v.tx.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, err
	}
	for m, c := range metrics {
		if found[m].Records > 0 {
			extents[c.Name] = found[m]
		}
	}
	return extents, nil
}

// queueEnd finds the first record of the span that has the channel, in that order.
func (v *view) queueEnd(batch *pgx.Batch, c channel.Channel, span rollup.Span, order string, at *time.Time) {
	if span.To.Sub(span.From) <= time.Microsecond || span.From.Before(v.lost) {
		*at = span.From // of records that are gone, up to the bucket
		return
	}
	queue(batch, func(r *record.Columns) { *at = time.UnixMicro(r.Micros()).UTC() },
		"SELECT time FROM telemetry WHERE session = $1 AND time >= $2 AND time < $3 AND "+c.Name+" IS NOT NULL ORDER BY time "+order+" LIMIT 1", v.session, span.From, span.To)
}

package ingest

import (
	"context"
	"fmt"
	"io"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/ingest/aside"
	"github.com/ecovolt/telemetryd/timeseries/ingest/cluster"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// Preview reads a stream to its end and returns what would become of its records
// in runs that are not there yet. It stores nothing, and counts bad records
// whatever opt.SkipBad says. Its errors are the decoder's; the result then tells
// of what was read before.
func Preview(ctx context.Context, dec *decode.Decoder, opt Options) (r Result, err error) {
	runs := map[string]cluster.List{}
	b := decode.NewBatch()
	defer b.Release()
	for err == nil {
		if err = ctx.Err(); err == nil {
			err = dec.Next(b, ChunkRecords)
		}
		r.Rejected += b.Rejected()
		r.Problems = append(r.Problems, b.Problems()...)
		r.Problems = r.Problems[:min(len(r.Problems), decode.MaxProblems)]
		times := make([][]int64, len(b.Sessions()))
		for i := range b.Len() {
			r.Inserted++
			v := b.Record(i)
			if v.Odd == "" {
				if len(v.Surplus) > 0 {
					r.tellOdd(aside.TooMany(&v, b.Index(i), b.Line(i)))
				}
				times[b.Session(i)] = append(times[b.Session(i)], v.Micros)
				continue
			}
			r.tellOdd(aside.New(&v, b.Index(i), b.Line(i), v.Odd).Problem())
			r.SetAside++
		}
		for i, id := range b.Sessions() {
			runs[id] = cluster.Join(runs[id], cluster.Fresh(times[i], !opt.File))
		}
		b.Reset()
	}
	for _, list := range runs {
		list.Weigh()
		for _, c := range list {
			if c.Odd {
				r.tellOdd(strays(c.Fresh, &c))
				r.SetAside += c.Fresh
			}
		}
	}
	if err == io.EOF {
		err = nil
	}
	return r, err
}

// tellOdd lists a problem of records set aside, if there is room.
func (r *Result) tellOdd(p fault.Problem) {
	if len(r.Odd) < decode.MaxProblems {
		r.Odd = append(r.Odd, p)
	}
}

// strays tells of so many records of a cluster.
func strays(n int, c *cluster.Cluster) fault.Problem {
	from, to := c.Bounds()
	return fault.Problem{Field: "timestamp", Reason: fmt.Sprintf(
		"%d records from %s to %s are more than 7 days from the run's other records", n, record.FormatTime(from), record.FormatTime(to))}
}

package signal

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/fault"
	"github.com/ecovolt/telemetryd/internal/load"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/kept"
	"github.com/ecovolt/telemetryd/timeseries/region"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
	"github.com/ecovolt/telemetryd/timeseries/series"
)

const (
	// MaxRuns bounds the runs of a request, maxLaps its laps, and maxCells what it
	// counts.
	MaxRuns  = 16
	maxLaps  = 500
	maxCells = 10_000
	// timeout bounds each statement.
	timeout = 10 * time.Second
	// keptBytes is how much of the answers of late is kept.
	keptBytes = 16 << 20
)

// Reader counts in the records of one database.
type Reader struct {
	pool     *pgxpool.Pool
	channels series.Channels
	series   *series.Reader
	heavy    *load.Queue
	answers  *kept.Values[*Counted]
	// PieceRecords is about how many records are read between two calls of Progress. It is to be
	// set before the Reader is used; what New sets costs next to nothing.
	PieceRecords int
}

// New returns a Reader on the connections for what somebody waits for.
func New(pool *pgxpool.Pool, channels series.Channels, series *series.Reader) *Reader {
	return &Reader{pool, channels, series, load.NewQueue(max(1, int(pool.Config().MaxConns)/3), 1, 2*timeout), kept.New[*Counted](keptBytes), pieceRecords}
}

// Request asks how often channels had which values.
type Request struct {
	Runs []string
	// X is the channel that is counted by. Y, where it is not "", is counted by as
	// well, and of Mean there is the mean in each cell.
	X, Y, Mean   string
	XBins, YBins Bins
	// From and To bound the window, half-open; zero is where a run begins or ends.
	From, To time.Time
	// Laps are stretches of the only run, in their order, instead of a window.
	Laps []rollup.Span
	// Region, where it is not nil, is where the runs must have been.
	Region *region.Box
	Class  series.Class
	// Progress, where it is not nil, is told which share of the records is read by then, 0 to 1,
	// by whoever reads them: not of an answer that is kept.
	Progress func(share float64)
}

// Bins part an axis. Nil is the lowest or the highest value that there is.
type Bins struct {
	Count     int
	Low, High *float64
}

// Counted is what was counted. The cell of the i-th bin of x and the j-th of y has place
// i + j * (bins of x) in lists of cells; there is one row of them without y.
type Counted struct {
	Runs    []CountedRun `json:"sessions"`
	Records int64        `json:"records" doc:"Records of the window, or of the laps: counted, missing and outside together"`
	Counted int64        `json:"counted" doc:"Records in one of the cells"`
	Missing int64        `json:"missing" doc:"Records that do not carry x, or do not carry y: they are in no cell"`
	Outside int64        `json:"outside" doc:"Records that carry all that is counted by, below or above the bins"`
	X       CountedAxis  `json:"x"`
	Y       *CountedAxis `json:"y" doc:"The second axis; null without y"`
	Counts  []int64      `json:"counts" doc:"Records in each cell: that of bin i of x and bin j of y is at i + j * (bins of x)"`
	Mean    *CountedMean `json:"mean" doc:"A channel's mean in each cell; null where none was asked for"`
	// Correlation is Pearson's.
	Correlation *float64 `json:"correlation" doc:"Of x and y in the records that carry both, from -1 to 1; null without y, and where one of them never changes"`
}

// CountedRun is one whose records were counted.
type CountedRun struct {
	ID      string `json:"session" doc:"Id of the run"`
	Version string `json:"version"`
	Records int64  `json:"records" doc:"Records of it that were looked at"`
}

// CountedAxis is a channel that was counted by.
type CountedAxis struct {
	Channel   string    `json:"channel" doc:"Its name"`
	Unit      string    `json:"unit" doc:"Unit of the edges"`
	Edges     []float64 `json:"edges" doc:"Where its bins begin, and where the last ends: one more than bins. A value on an edge is in the bin above it, the highest edge in the last bin. Empty where no record has a value"`
	Missing   int64     `json:"missing" doc:"Records that do not carry it"`
	Below     int64     `json:"below" doc:"Records with a value below the lowest edge"`
	Above     int64     `json:"above" doc:"Records with a value above the highest edge"`
	Mean      *float64  `json:"mean" doc:"Mean of the records that carry it, outside of the bins too; null where none does"`
	Deviation *float64  `json:"deviation" doc:"Standard deviation of those; null of less than two"`
}

// CountedMean is a channel's mean in each cell.
type CountedMean struct {
	Channel string     `json:"channel" doc:"Its name"`
	Unit    string     `json:"unit" doc:"Unit of the means"`
	Means   []*float64 `json:"means" doc:"Mean of the records of each cell that carry it, in the order of counts; null where none does"`
	Counts  []int64    `json:"counts" doc:"How many those are"`
}

// wanted are the channels of a request: x, y if there is one, and mean.
type wanted struct {
	by   []channel.Channel
	bins []Bins
	mean *channel.Channel
}

// all are the channels of the axes, and mean behind them.
func (w *wanted) all() []channel.Channel {
	if w.mean == nil {
		return w.by
	}
	return append(slices.Clone(w.by), *w.mean)
}

// Read counts. It fails with fault.Invalid and the parameter, with fault.NotFound for a
// run that is not there, with fault.Invalid for a read that costs more than its class
// may, with what would fit, and with fault.Unavailable where too many such wait or one
// takes too long all the same.
func (r *Reader) Read(ctx context.Context, req Request) (answer *Counted, err error) {
	want, err := r.check(ctx, &req)
	if err != nil {
		return nil, err
	}
	err = r.heavy.Try(ctx, func(admitted bool) error {
		runs, err := r.find(ctx, r.pool, &req)
		if err != nil {
			return err
		}
		key := req.key(want, runs)
		if known, ok := r.answers.Get(key); ok {
			answer = known
			return nil
		}
		if err := req.within(ctx, r.pool, runs, nil); err != nil {
			return err
		}
		switch c, err := req.cost(want, runs); {
		case err != nil:
			return err
		case c > heavyCells && !admitted:
			return load.ErrHeavy
		}
		// Not while a connection is held, of which this needs one itself.
		bounds, versions, err := r.bounds(ctx, &req, want)
		if err != nil {
			return err
		}
		err = schema.Snapshot(ctx, r.pool, timeout, func(tx pgx.Tx) error {
			before := runs
			if runs, err = r.find(ctx, tx, &req); err == nil {
				err = req.within(ctx, tx, runs, before)
			}
			if err != nil {
				return err
			}
			answer, err = count(ctx, tx, &req, want, runs, bounds, r.PieceRecords)
			return err
		})
		if err != nil {
			return err
		}
		// What came since the bounds were read may lie outside of them: the answer says
		// so, and is nothing to keep.
		for i, run := range runs {
			if versions != nil && versions[i] != run.version {
				return nil
			}
		}
		r.answers.Put(req.key(want, runs), answer, 256+24*len(answer.Counts))
		return nil
	})
	if schema.TimedOut(ctx, err) {
		return nil, errTooLong(err)
	}
	if err != nil {
		return nil, fault.Wrap("count records by channels", err)
	}
	return answer, nil
}

// check returns the channels, or what is wrong with the request.
func (r *Reader) check(ctx context.Context, req *Request) (want wanted, err error) {
	switch {
	case len(req.Runs) == 0 || len(req.Runs) > MaxRuns:
		return want, fault.Field("also", "1 to %d runs, not %d", MaxRuns, len(req.Runs))
	case len(req.Laps) > maxLaps:
		return want, fault.Field("laps", "at most %d laps, not %d", maxLaps, len(req.Laps))
	case len(req.Laps) > 0 && len(req.Runs) > 1:
		return want, fault.Field("laps", "laps are of one run")
	case len(req.Laps) > 0 && !(req.From.IsZero() && req.To.IsZero()):
		return want, fault.Field("laps", "laps, or a window; not both")
	case !req.From.IsZero() && !req.To.IsZero() && !req.From.Before(req.To):
		return want, fault.Field("to", "the window must end after it begins")
	}
	for name, t := range map[string]time.Time{"from": req.From, "to": req.To} {
		if !t.IsZero() && (t.Year() < 1970 || t.Year() > 2261) {
			return want, fault.Field(name, "out of range")
		}
	}
	known, err := r.channels.Find(ctx, slices.DeleteFunc([]string{req.X, req.Y, req.Mean}, func(name string) bool { return name == "" }))
	if err != nil {
		return want, fault.Wrap("count records by channels", err)
	}
	cells := 1
	for _, a := range []struct {
		param, name string
		bins        *Bins
	}{{"x", req.X, &req.XBins}, {"y", req.Y, &req.YBins}, {"mean", req.Mean, nil}} {
		if a.name == "" && a.param != "x" {
			if a.bins != nil && (a.bins.Low != nil || a.bins.High != nil) {
				return want, fault.Field(a.param, "bounds of an axis need its channel")
			}
			continue
		}
		c, ok := known[a.name]
		switch {
		case !ok:
			return want, fault.Field(a.param, "%q is not a channel", fault.Clip(a.name))
		case !c.Charted:
			return want, fault.Field(a.param, "%q is no measurement", fault.Clip(a.name))
		case a.bins == nil:
			want.mean = &c
			continue
		case a.bins.Count < 1 || a.bins.Count > maxCells:
			return want, fault.Field(a.param+"_bins", "1 to %d bins, not %d", maxCells, a.bins.Count)
		case a.bins.Low != nil && a.bins.High != nil && !(*a.bins.Low < *a.bins.High):
			return want, fault.Field(a.param+"_high", "must be over %s_low", a.param)
		}
		cells *= a.bins.Count
		want.by, want.bins = append(want.by, c), append(want.bins, *a.bins)
	}
	if cells > maxCells {
		return want, fault.Field("y_bins", "%d cells; at most %d fit: %d bins of y, with these of x", cells, maxCells, maxCells/req.XBins.Count)
	}
	return want, nil
}

// run is one as a snapshot shows it, and what of it is asked for.
type run struct {
	session int32
	id      string
	version string
	records int64
	all     rollup.Span // empty without records
	window  rollup.Span
	// spans are what of the window is looked at, in order; nil is all of it.
	spans []rollup.Span
	// analysed is when it was last worked out where the run was, where that matters.
	analysed time.Time
}

// only has no more of the run looked at than these stretches, which are in order.
func (r *run) only(stretches []rollup.Span) {
	before := r.spans
	if before == nil {
		before = []rollup.Span{r.window}
	}
	r.spans, r.window = []rollup.Span{}, rollup.Span{}
	for len(before) > 0 && len(stretches) > 0 {
		if both := before[0].Clip(stretches[0]).Clip(r.all); !both.Empty() {
			r.spans = append(r.spans, both)
			r.window = rollup.Span{From: r.spans[0].From, To: both.To}
		}
		if before[0].To.Before(stretches[0].To) {
			before = before[1:]
		} else {
			stretches = stretches[1:]
		}
	}
}

// within has no more of the runs looked at than when they were in the region of the request. What
// others, which were found before, say of that is good as long as their analysis is.
func (req *Request) within(ctx context.Context, q schema.Querier, runs, others []run) error {
	if req.Region == nil {
		return nil
	}
	for i := range runs {
		if others != nil && others[i].version == runs[i].version && others[i].analysed.Equal(runs[i].analysed) {
			runs[i] = others[i]
			continue
		}
		stays, err := region.Stays(ctx, q, runs[i].session, *req.Region)
		if err != nil {
			return err
		}
		runs[i].only(stays)
	}
	return nil
}

func (r *Reader) find(ctx context.Context, q schema.Querier, req *Request) ([]run, error) {
	runs := make([]run, len(req.Runs))
	rows, err := q.Query(ctx, `
		SELECT session, id, `+schema.SessionVersion+`, records, first_time, last_time, coalesce(computed_at, 'epoch')
		FROM sessions s LEFT JOIN analysis_runs USING (session)
		WHERE id = ANY($1) AND deleted_at IS NULL`, req.Runs)
	if err != nil {
		return nil, err
	}
	var one run
	var first, last *time.Time
	_, err = pgx.ForEachRow(rows, []any{&one.session, &one.id, &one.version, &one.records, &first, &last, &one.analysed}, func() error {
		found := one
		if first != nil && last != nil {
			found.all = rollup.Span{From: first.UTC(), To: last.Add(time.Microsecond).UTC()}
		}
		found.window = found.all
		if !req.From.IsZero() {
			found.window.From = req.From
		}
		if !req.To.IsZero() {
			found.window.To = req.To
		}
		if found.window = found.window.Clip(found.all); len(req.Laps) > 0 {
			found.only(req.Laps)
		}
		runs[slices.Index(req.Runs, one.id)] = found
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range runs {
		if runs[i].id == "" {
			return nil, fault.NoSession(req.Runs[i])
		}
	}
	return runs, nil
}

// Stays returns when a run was in a region, in order. It fails with fault.NotFound, and as region.Stays.
func (r *Reader) Stays(ctx context.Context, id string, box region.Box) ([]rollup.Span, error) {
	runs, err := r.find(ctx, r.pool, &Request{Runs: []string{id}})
	if err != nil {
		return nil, fault.Wrap("find when a run was in a region", err)
	}
	stays, err := region.Stays(ctx, r.pool, runs[0].session, box)
	return stays, fault.Wrap("find when a run was in a region", err)
}

// key tells the answer to a request from all others.
func (req *Request) key(want wanted, runs []run) string {
	edge := func(v *float64) string {
		if v == nil {
			return "-"
		}
		return fmt.Sprint(*v)
	}
	key := fmt.Sprint(req.From.UnixMicro(), " ", req.To.UnixMicro())
	for _, l := range req.Laps {
		key += fmt.Sprint(" ", l.From.UnixMicro(), "-", l.To.UnixMicro())
	}
	for i, c := range want.all() {
		key += fmt.Sprintf(" %q %q %q", c.Name, c.Unit, c.Values())
		if i < len(want.bins) {
			key += fmt.Sprint(" ", want.bins[i].Count, " ", edge(want.bins[i].Low), " ", edge(want.bins[i].High))
		}
	}
	for _, run := range runs {
		key += " " + run.version
		if req.Region != nil {
			key += fmt.Sprint(" ", *req.Region, run.analysed.UnixMicro())
		}
	}
	return key
}

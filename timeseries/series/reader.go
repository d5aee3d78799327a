package series

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ecovolt/telemetryd/internal/fault"
	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/column"
	"github.com/ecovolt/telemetryd/timeseries/kept"
	"github.com/ecovolt/telemetryd/timeseries/rollup"
)

// Reader reads series and tracks of one database. It is safe for concurrent use.
type Reader struct {
	pool     *pgxpool.Pool
	rollups  *rollup.Rollups
	channels Channels
	turns    turns
	answers  *kept.Values[*Answer]
	columns  *column.Memory
	views    *kept.Values[seenView]
	sampled  *kept.Values[time.Duration]
}

// keptBytes is how much of the answers of late is kept: those of some hundred charts.
const keptBytes = 32 << 20

// Channels tells which channels there are. Package registry implements it.
type Channels interface {
	// Find returns the channels of these names, those that there are.
	Find(ctx context.Context, names []string) (map[string]channel.Channel, error)
}

// New returns a Reader of the records behind the rollups, of which columns are held in
// memory.
func New(pool *pgxpool.Pool, rollups *rollup.Rollups, channels Channels, columns *column.Memory) *Reader {
	return &Reader{pool, rollups, channels, newTurns(int(pool.Config().MaxConns)), kept.New[*Answer](keptBytes), columns, kept.New[seenView](1 << 20), kept.New[time.Duration](1 << 20)}
}

// Read reads metrics at a resolution: at most as many points as asked for,
// from the coarsest rollup that is fine enough. Minimum, maximum and count are
// those of the records in each bucket, whatever is not yet in the rollups
// included; so is the mean, up to rounding. A window that is asked for again while
// nothing of its sessions has changed is answered from memory: the Answer is not to
// be changed.
//
// It fails with fault.Invalid for a request that makes no sense, with
// fault.NotFound for a session that does not exist, with fault.Invalid for a
// read that costs more than its class may, with what would fit, and with
// fault.Unavailable where too many such wait or one takes too long all the same.
func (r *Reader) Read(ctx context.Context, req Request) (*Answer, error) {
	known, err := r.channels.Find(ctx, req.Metrics)
	if err != nil {
		return nil, fault.Wrap("read series", err)
	}
	req.Metrics = slices.Clone(req.Metrics)
	for i, name := range req.Metrics {
		if c, ok := known[name]; ok { // an alias: summaries go by the channel's name
			req.Metrics[i], known[c.Name] = c.Name, c
		}
	}
	want, err := req.check(func(name string) (channel.Channel, bool) { c, ok := known[name]; return c, ok })
	if err != nil {
		return nil, err
	}
	var members []string
	for _, c := range want.metrics {
		if c.Member != "" {
			members = append(members, c.Member)
		}
	}
	var answer *Answer
	admitted := false
	read := func(views []*view) (err error) {
		key := req.key(want, views)
		if known, ok := r.answers.Get(key); ok {
			answer = known
			return nil
		}
		answer = &Answer{Request: req, Settled: true, Sessions: make([]Session, len(views))}
		for i, v := range views {
			answer.Settled = answer.Settled && v.settled
			answer.Sessions[i] = Session{ID: v.id, Version: v.version}
		}
		if req.Align == AlignDistance {
			err = byDistance(ctx, answer, views, want.metrics)
		} else {
			err = byTime(ctx, answer, views, want, admitted)
		}
		if err == nil {
			r.answers.Put(key, answer, answer.size())
		}
		return err
	}
	if err := r.columns.ForgetDropped(ctx, r.pool, r.rollups); err != nil {
		return nil, fault.Wrap("read series", err)
	}
	err = r.readHeld(ctx, &req, members, read)
	if r.columns.Count(err == nil); err == nil {
		return answer, nil
	}
	err = r.turns[req.Class].Try(ctx, func(atTurn bool) error {
		admitted = atTurn
		return r.snapshot(ctx, req.Sessions, req.Metrics, members, read)
	})
	if schema.TimedOut(ctx, err) {
		return nil, &fault.Error{Kind: fault.Unavailable, Message: "the window holds more than can be aggregated in time; ask for a shorter window or fewer metrics", RetryAfter: timeout, Err: err}
	}
	if err != nil {
		return nil, fault.Wrap("read series", err)
	}
	return answer, nil
}

// snapshot calls read with the sessions as one moment shows them: what the
// rollups lack and what the records have must be known of the same one. It
// calls it again where another instance made the rollups anew meanwhile.
func (r *Reader) snapshot(ctx context.Context, sessions, channels, members []string, read func([]*view) error) error {
	conn, err := r.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	try := func() error {
		cat, err := r.rollups.Catalog(ctx, conn)
		if err != nil {
			return err
		}
		return pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
			views, err := r.openViews(ctx, tx, cat, sessions, channels, members)
			if err != nil {
				return err
			}
			return read(views)
		})
	}
	if err = try(); r.rollups.Outdated(err) {
		err = try()
	}
	return err
}

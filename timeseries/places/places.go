// Package places owns the table member_places: where in telemetry.numbers, an array, the
// numbers of a member without a column are.
//
//	ingest ── Parts ─▶ member_places ◀── On ── records, live frames, archives
//	                        ▲ channel.Channel.SQL, record_members
//	                        └── charts, levels, analysts
//
// A place is given once, when the first record with such a number comes, in a transaction
// of its own that is committed before any record uses it. It never changes. So whoever
// knows some of the places is right about them, and members of later ones are put
// together by the database meanwhile (record.Selection.WithPlaces). There are Most of
// them, which the first members have; what has none is in telemetry.extra, where records
// of older versions have all, and is charted and given back like the others.
//
// A Places is safe for concurrent use, by any number of instances.
package places

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/decode"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

// Most is how many places there are. A team has a few hundred sensors.
const Most = 2_000

// Places are those of one database. The zero Places knows none.
type Places struct {
	// Log takes why an upload's numbers were stored without places. Nil discards it.
	Log *slog.Logger

	known   atomic.Pointer[record.Places]
	checked atomic.Int64 // when, in nanoseconds
	failed  atomic.Int64 // when an upload waited in vain
}

const (
	// tick is how old what uploads go by may be, and patience how long an upload waits for
	// places: its records can be stored without.
	tick     = time.Second
	patience = time.Second
	// pause is for how long no upload waits after one did in vain.
	pause = 10 * time.Second
)

// On returns places for who reads records, over the caller's connection: all that any
// record had that was read.
func (p *Places) On(ctx context.Context, q schema.Querier) (*record.Places, error) {
	if known := p.known.Load(); known != nil && !known.Outgrown() {
		return known, nil
	}
	return p.read(ctx, q)
}

func (p *Places) read(ctx context.Context, q schema.Querier) (*record.Places, error) {
	known, now := p.known.Load(), time.Now().UnixNano()
	// The last one is read again: another means that the database is not what it was.
	last := known.Len()
	names, err := schema.List(ctx, q, pgx.RowTo[string], "SELECT member FROM member_places WHERE place >= $1 ORDER BY place", last)
	if err == nil && last > 0 && (len(names) == 0 || names[0] != known.Name(last)) {
		last = 0
		names, err = schema.List(ctx, q, pgx.RowTo[string], "SELECT member FROM member_places ORDER BY place")
	}
	if err != nil {
		return nil, fmt.Errorf("read the places of members: %w", err)
	}
	switch {
	case last > 0 && len(names) == 1:
	case last > 0:
		known = record.NewPlaces(append(known.Names()[:last:last], names[1:]...))
	default:
		known = record.NewPlaces(names)
	}
	p.known.Store(known)
	p.checked.Store(now)
	return known, nil
}

// Parts parts the members of some of a batch's records. They are valid until the parter,
// which is nil where there are none, is released.
type Parts func(b *decode.Batch, which iter.Seq[int]) (byRecord []record.Parted, parter *record.Parter)

// Parts parts those of an upload. Members that lack a place get one, if they may.
func (p *Places) Parts(ctx context.Context, pool *pgxpool.Pool, give bool) Parts {
	return func(b *decode.Batch, which iter.Seq[int]) (parted []record.Parted, parter *record.Parter) {
		parted = make([]record.Parted, b.Len())
		for again := true; again; {
			again = false
			for i := range which {
				v := b.Record(i)
				if len(v.Extra) > 0 && parter == nil {
					parter = &record.Parter{Places: p.current(ctx, pool)}
				}
				if parter != nil {
					parted[i] = parter.Part(&v)
				}
			}
			if give && parter != nil && len(parter.Lacking) > 0 {
				if given := p.give(ctx, pool, parter.Lacking); given.Len() > parter.Places.Len() {
					parter.Release()
					parter, again = &record.Parter{Places: given}, true
				}
			}
		}
		return parted, parter
	}
}

// current returns the places that there are, or were a minute ago where the database does
// not say in time: whoever waits for a connection may be who has the others wait.
func (p *Places) current(ctx context.Context, pool *pgxpool.Pool) *record.Places {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if !p.paused() {
		if known := p.known.Load(); known != nil && time.Now().UnixNano()-p.checked.Load() < int64(tick) {
			return known
		}
		known, err := p.read(ctx, pool)
		if err == nil {
			return known
		}
		p.giveUp(err)
	}
	if time.Now().UnixNano()-p.checked.Load() < int64(time.Minute) {
		return p.known.Load()
	}
	return nil
}

// giveUp has no upload wait for a while.
func (p *Places) giveUp(err error) {
	p.failed.Store(time.Now().UnixNano())
	if p.Log != nil {
		p.Log.Info("numbers of unknown members are stored as JSON for a while", slog.Any("error", err), slog.Duration("for", pause))
	}
}

// paused reports whether the database was too slow just now.
func (p *Places) paused() bool { return time.Now().UnixNano()-p.failed.Load() < int64(pause) }

// give gives members places, as many of them as there are left, and returns all. It
// returns nil where that takes too long: so does what is behind it, and nobody needs one.
func (p *Places) give(ctx context.Context, pool *pgxpool.Pool, members []string) *record.Places {
	if known := p.known.Load(); known.Len() >= Most || p.paused() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var given *record.Places
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { // not schema.Tx: what ends the upload does not belong in here
		if err := schema.Lock(ctx, tx, "member places"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			INSERT INTO member_places (place, member)
			SELECT t.places + row_number() OVER (ORDER BY m.at), m.member
			FROM unnest($1::text[]) WITH ORDINALITY AS m (member, at),
			     (SELECT count(*) AS places FROM member_places) t
			WHERE NOT EXISTS (SELECT FROM member_places p WHERE p.member = m.member)
			ORDER BY m.at
			LIMIT greatest(0, $2 - (SELECT count(*) FROM member_places))`, members, Most)
		return err
	})
	if err == nil {
		given, err = p.read(ctx, pool)
	}
	if err != nil {
		p.giveUp(err)
		return nil
	}
	return given
}

package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	schema "github.com/ecovolt/telemetryd/sql"
	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/channel/unit"
	"github.com/ecovolt/telemetryd/timeseries/extra"
	"github.com/ecovolt/telemetryd/timeseries/progress"
)

// Bounds on what records make us keep.
const (
	// maxMembers is how many members of one run are counted.
	maxMembers = 2_000
	// maxSeen is how many channels records make. A team has a few hundred.
	maxSeen = 5_000
	// longestMember is how long the spelling of one may be, in bytes.
	longestMember = 1_024
	// pieceRecords is how many records are counted at once while a run may still get
	// new members: each of them may bring its own.
	pieceRecords = 10_000
)

// counted is the table of how far members are counted.
const counted = "member_progress"

// Due implements rollup.Work.
func (r *Registry) Due(ctx context.Context, conn *pgx.Conn) (due bool, err error) {
	if err = conn.QueryRow(ctx, "SELECT EXISTS ("+progress.Due(counted)+")").Scan(&due); err != nil {
		return false, fmt.Errorf("look for members of records: %w", err)
	}
	return due, nil
}

// Do counts what came since the last time, and makes channels of members that are
// new.
func (r *Registry) Do(ctx context.Context, conn *pgx.Conn) error {
	runs, err := schema.List(ctx, conn, pgx.RowToStructByPos[progress.Run],
		"SELECT d.* FROM ("+progress.Due(counted)+") d JOIN sessions s USING (session)"+progress.SmallestFirst)
	if err != nil {
		return fmt.Errorf("find runs whose members are not counted: %w", err)
	}
	return progress.Turn(ctx, conn, "count the members", runs, func(tx pgx.Tx, run progress.Run) (ended func(), done bool, err error) {
		c, done, err := r.count(ctx, tx, run.Session, run.Batch, run.Rewritten)
		return c.Close, done, err
	})
}

// Forget removes what is known of a run, in the transaction that deletes it.
func Forget(ctx context.Context, tx pgx.Tx, session int32) error {
	return schema.DeleteOf(ctx, tx, session, "session_members", counted)
}

// Member is a member of a run's records that has no column.
type Member struct {
	Member    string
	Records   int64 // that have it
	Numbers   int64 // thereof with a number or a boolean
	Texts     int64
	FirstTime time.Time
	LastTime  time.Time
	Low, High *float64
	// NoChannels says that all of them came by keys that make no channels.
	NoChannels bool
}

// begin begins to count batches of a run, and returns after which ones.
func begin(ctx context.Context, tx pgx.Tx, session, batch, rewritten int32) (done int32, err error) {
	done, err = progress.Resume(ctx, tx, counted, session, batch, rewritten)
	if err == nil && done == 0 { // never counted, or records of it were taken away or changed since
		err = schema.DeleteOf(ctx, tx, session, "session_members")
	}
	return done, err
}

// count adds batches of a run, up to that one at most, to what is known of its
// members, and reports whether it was reached.
func (r *Registry) count(ctx context.Context, tx pgx.Tx, session, batch, rewritten int32) (c *Counter, reached bool, err error) {
	done, err := begin(ctx, tx, session, batch, rewritten)
	if err != nil {
		return nil, false, err
	}
	var upTo int32
	var from, to *time.Time
	err = tx.QueryRow(ctx, `
		WITH full_run AS (
			SELECT count(*) >= $4 AS known FROM session_members WHERE session = $1
		), ahead AS (
			SELECT batch, min_time, max_time, records, sum(records) OVER (ORDER BY batch) AS total
			FROM ingest_batches
			WHERE session = $1 AND batch > $2 AND batch <= $3 AND members IS DISTINCT FROM false
		), piece AS (
			SELECT * FROM ahead, full_run WHERE known OR total <= $5 OR total = records
		)
		SELECT CASE WHEN (SELECT count(*) FROM piece) = (SELECT count(*) FROM ahead) THEN $3 ELSE max(batch) END,
		       min(min_time), max(max_time)
		FROM piece`, session, done, batch, maxMembers, pieceRecords).Scan(&upTo, &from, &to)
	if err != nil {
		return nil, false, err
	}
	if from == nil {
		return nil, upTo == batch, progress.Reached(ctx, tx, counted, session, upTo)
	}
	if c, err = r.counter(ctx, tx, session, done, upTo); err != nil {
		return nil, false, err
	}
	part := extra.Part{Session: session, From: *from, To: to.Add(time.Microsecond), Before: done, UpTo: upTo}
	if err := extra.Each(ctx, tx, part, func() error { return nil }, c.Reader()); err != nil {
		return nil, false, err
	}
	return c, upTo == batch, c.Conclude(ctx, tx)
}

// see makes channels of members that have no column, where they can be charted and
// nothing else has their name.
func (r *Registry) see(ctx context.Context, tx pgx.Tx, members []Member) error {
	// One at a time: what two of them are called must not depend on who comes last.
	if err := schema.Lock(ctx, tx, "channels"); err != nil {
		return err
	}
	set, err := r.readSet(ctx, tx)
	if err != nil {
		return err
	}
	var made int64
	before := set.count(seen)
	for _, m := range members {
		name, kind, why := set.becomes(m)
		_, said := set.names[name]
		if why != "" || name == "" || before+int(made) >= maxSeen && !said {
			continue
		}
		// One that was declared before it came keeps what was said of it.
		tag, err := tx.Exec(ctx, `
			INSERT INTO channels AS c (name, kind, type, member, unit)
			VALUES ($1, $2, $3, $4, nullif($5, ''))
			ON CONFLICT (name) DO UPDATE SET member = excluded.member, type = excluded.type
			WHERE c.kind = $6 AND c.member IS NULL`, name, seen, kind, m.Member, unitOf(name), declared)
		if err != nil {
			return fmt.Errorf("make a channel of %q: %w", m.Member, err)
		}
		set.names[name], set.members[m.Member] = len(set.list), len(set.list)
		set.list = append(set.list, Channel{Channel: channel.Channel{Name: name, Member: m.Member}, Kind: seen, Came: true})
		made += tag.RowsAffected()
	}
	if made == 0 {
		return nil
	}
	return schema.Touch(ctx, tx, schema.TopicChannels)
}

// claim gives a channel that was just declared the member that it is of, where that
// came before by a key that makes no channels.
func claim(ctx context.Context, tx pgx.Tx, name string) error {
	silent, err := schema.List(ctx, tx, pgx.RowToStructByPos[struct{ Member, Kind string }], `
		SELECT member, CASE WHEN sum(numbers) < sum(texts) THEN 'text' ELSE 'number' END
		FROM session_members
		WHERE no_channels AND numbers + texts > 0
		GROUP BY member
		ORDER BY member <> $1, member`, name)
	if err != nil {
		return err
	}
	for _, m := range silent {
		if channel.Name(m.Member) == name && len(m.Member) <= longestMember {
			_, err := tx.Exec(ctx, "UPDATE channels SET member = $2, type = $3 WHERE name = $1", name, m.Member, m.Kind)
			return err
		}
	}
	return nil
}

// becomes tells which channel a member becomes, or why it becomes none; "" and
// nothing where it is one already.
func (s *Set) becomes(m Member) (name, kind, why string) {
	if _, ok := s.members[m.Member]; ok {
		return "", "", ""
	}
	kind = "number"
	if m.Numbers < m.Texts {
		kind = "text"
	}
	name = channel.Name(m.Member)
	switch {
	case len(m.Member) > longestMember:
		return "", "", "its name is longer than 1,024 bytes"
	case m.Numbers+m.Texts == 0:
		return "", "", "it is neither a number, nor a boolean or a text"
	case name == "":
		return "", "", "its name has no letters or digits of English, or more than 56"
	case !channel.Valid(name):
		return "", "", fmt.Sprintf("%q is the name of something else in a record", name)
	}
	if i, taken := s.names[name]; taken {
		c := s.list[i]
		if c.Kind != declared || c.Came {
			return "", "", fmt.Sprintf("its name would be %q, which %s has", name, spelling(c))
		}
	} else if m.NoChannels {
		return "", "", "it came by a key that makes no channels; an administrator may declare it"
	}
	return name, kind, ""
}

// spelling says what has a name.
func spelling(c Channel) string {
	if c.Member != "" {
		return fmt.Sprintf("%q", c.Member)
	}
	return "another channel"
}

// unitOf is the unit that a name ends in, as in battery_temp_c; "" without.
func unitOf(name string) string {
	if i := strings.LastIndexByte(name, '_'); i >= 0 {
		return unit.Suffixes[name[i+1:]]
	}
	return ""
}

// Held is what a run's records have beside the columns of telemetry.
type Held struct {
	Member
	Channel *Channel // nil where it became none
	Why     string   // it became none
}

// Held lists what a run's records have beside the columns of telemetry, channels
// first, by name.
func (r *Registry) Held(ctx context.Context, session string) ([]Held, error) {
	set, err := r.Current(ctx)
	if err != nil {
		return nil, err
	}
	members, err := schema.List(ctx, r.reads, pgx.RowToStructByPos[Member], `
		SELECT member, records, numbers, texts, first_time, last_time, low, high, no_channels
		FROM session_members
		WHERE session = (SELECT session FROM sessions WHERE id = $1 AND deleted_at IS NULL)
		ORDER BY member`, schema.Storable(session))
	if err != nil {
		return nil, fmt.Errorf("read the members of a run: %w", err)
	}
	held := make([]Held, len(members))
	for i, m := range members {
		held[i].Member = m
		if at, ok := set.members[m.Member]; ok {
			held[i].Channel = &set.list[at]
			continue
		}
		var name string
		if name, _, held[i].Why = set.becomes(m); held[i].Why == "" && name != "" {
			held[i].Why = fmt.Sprintf("there are %d channels already that came in records", maxSeen)
		}
	}
	slices.SortStableFunc(held, func(a, b Held) int {
		switch {
		case a.Channel == nil && b.Channel == nil:
			return 0
		case a.Channel == nil:
			return 1
		case b.Channel == nil:
			return -1
		}
		return strings.Compare(a.Channel.Name, b.Channel.Name)
	})
	return held, nil
}

package ingest

import (
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ecovolt/telemetryd/timeseries/channel"
	"github.com/ecovolt/telemetryd/timeseries/record"
)

const (
	// countedStep is from how much on a step back counts between records whose
	// message counter says that the one was made after the other.
	countedStep = 100 * time.Millisecond
	// maxClockSteps bounds how many steps of a session are kept; further ones are
	// only counted.
	maxClockSteps = 100
)

var messageChannel, _ = channel.Index("message_id")

// arrival is what a record tells of the car's clock.
type arrival struct {
	micros  int64
	message int64 // the counter; 0 without one
}

// back reports whether the clock stepped back between this record and one that
// arrived behind it. A counter that goes on tells that. Without one, records
// that are late look the same, so that a step counts within an upload only, and
// when it is longer than what may be a gap.
func (a arrival) back(next arrival, sameUpload bool) bool {
	by := time.Duration(a.micros-next.micros) * time.Microsecond
	if a.message > 0 && next.message > 0 {
		return by >= countedStep && next.message > a.message
	}
	return by > channel.GapLeast && sameUpload
}

// clockStep is a step back.
type clockStep struct{ before, after arrival }

// clock is the way of a car's clock over records in order of arrival. The zero
// clock has seen none.
type clock struct {
	first, last arrival
	seen        bool
	back        int         // steps back
	steps       []clockStep // the first of them
}

func (c *clock) add(v *record.Values) {
	a := arrival{micros: v.Micros}
	if v.Present.Has(messageChannel) {
		a.message = int64(v.Values[messageChannel])
	}
	if !c.seen {
		c.first, c.seen = a, true
	} else if a.micros < c.last.micros && c.last.back(a, true) {
		c.step(a)
	}
	c.last = a
}

func (c *clock) step(to arrival) {
	c.back++
	if len(c.steps) < maxClockSteps {
		c.steps = append(c.steps, clockStep{c.last, to})
	}
}

// follow adds what arrived behind c.
func (c *clock) follow(next *clock, sameUpload bool) {
	if !next.seen {
		return
	}
	if !c.seen {
		*c = *next
		return
	}
	if c.last.back(next.first, sameUpload) {
		c.step(next.first)
	}
	c.back += next.back
	c.steps = append(c.steps, next.steps[:min(len(next.steps), maxClockSteps-len(c.steps))]...)
	c.last = next.last
}

const clockStepsSQL = `
	INSERT INTO clock_steps (session, batch, from_time, to_time, message_id)
	SELECT $1, $2, from_time, to_time, nullif(message_id, 0)
	FROM unnest($3::timestamptz[], $4::timestamptz[], $5::bigint[]) AS step (from_time, to_time, message_id)
	WHERE (SELECT clock_steps FROM sessions WHERE session = $1) < $6`

// queueSteps keeps the steps of a batch, unless its session has many.
func (c *clock) queueSteps(b *pgx.Batch, session, batch int32) {
	if len(c.steps) == 0 {
		return
	}
	var from, to []time.Time
	var messages []int64
	for _, step := range c.steps {
		from, to = append(from, time.UnixMicro(step.before.micros)), append(to, time.UnixMicro(step.after.micros))
		messages = append(messages, step.after.message)
	}
	b.Queue(clockStepsSQL, session, batch, from, to, messages, maxClockSteps)
}

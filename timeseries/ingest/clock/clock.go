// Package clock notices that a car's clock steps back while records go on, by the
// order in which they arrive. It owns the table clock_steps. A Clock is not safe
// for concurrent use.
package clock

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

// Clock is the way of a car's clock over records in order of arrival. The zero
// Clock has seen none.
type Clock struct {
	first, last arrival
	seen        bool
	back        int         // steps back
	steps       []clockStep // the first of them
}

// Add takes the record that arrived next.
func (c *Clock) Add(v *record.Values) {
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

func (c *Clock) step(to arrival) {
	c.back++
	if len(c.steps) < maxClockSteps {
		c.steps = append(c.steps, clockStep{c.last, to})
	}
}

// Follow adds what arrived behind c.
func (c *Clock) Follow(next *Clock, sameUpload bool) {
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

// At is a clock whose newest record was at a time, with a value of the message
// counter or 0.
func At(newest time.Time, message int64) Clock {
	return Clock{last: arrival{newest.UnixMicro(), message}, seen: true}
}

// Behind adds the step between what arrived before c and c's first record.
func (c *Clock) Behind(before *Clock) {
	if before.last.back(c.first, before.seen && c.seen) && before.back < maxClockSteps {
		c.steps = append([]clockStep{{before.last, c.first}}, c.steps...)
	}
}

// Newest returns the time of the newest arrival and its message counter, nil where
// there is none, and how many steps there were.
func (c *Clock) Newest() (at *time.Time, message *int64, back int) {
	if c.seen {
		newest := time.UnixMicro(c.last.micros)
		at = &newest
		if c.last.message > 0 {
			message = &c.last.message
		}
	}
	return at, message, c.back
}

const clockStepsSQL = `
	INSERT INTO clock_steps (session, batch, from_time, to_time, message_id)
	SELECT $1, $2, from_time, to_time, nullif(message_id, 0)
	FROM unnest($3::timestamptz[], $4::timestamptz[], $5::bigint[]) AS step (from_time, to_time, message_id)
	WHERE (SELECT clock_steps FROM sessions WHERE session = $1) < $6`

// QueueSteps keeps the steps of a batch, unless its session has many.
func (c *Clock) QueueSteps(b *pgx.Batch, session, batch int32) {
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

// Package lag tells for how long a replica of the database has been behind.
package lag

import "time"

// Meter turns positions in the write-ahead log into time. The replica's own
// figure, the time of the last transaction that it replayed, grows while the
// primary is idle, and reads zero on a replica that lost its primary.
type Meter struct {
	Bytes   int64  // of the write-ahead log that the replica lacks
	waiting []mark // positions of the primary that the replica has not reached, oldest first
}

type mark struct {
	at       time.Time
	position int64
}

// mostMarks bounds the marks; beyond, the oldest one still tells the lag.
const mostMarks = 4096

// Note notes how far the primary has written and the replica replayed, in bytes.
func (m *Meter) Note(now time.Time, written, replayed int64) {
	m.Bytes = max(0, written-replayed)
	if len(m.waiting) < mostMarks {
		m.waiting = append(m.waiting, mark{now, written})
	}
	reached := 0
	for reached < len(m.waiting) && m.waiting[reached].position <= replayed {
		reached++
	}
	m.waiting = append(m.waiting[:0], m.waiting[reached:]...)
}

// Since is for how long the replica has lacked something that the primary had written.
func (m *Meter) Since(now time.Time) time.Duration {
	if len(m.waiting) == 0 {
		return 0
	}
	return now.Sub(m.waiting[0].at)
}

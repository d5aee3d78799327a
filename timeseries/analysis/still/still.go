// Package still adds up, record by record, how long a car stood and how long it rolled by
// itself. Exported fields are the whole state, so that it can be stored; one goroutine
// uses it at a time.
package still

import (
	"math"
	"time"
)

// Pause adds up how long the car stood.
type Pause struct {
	Since int64   `json:"since"` // µs since 1970; 0 while it moves
	At    int64   `json:"at"`
	Sum   float64 `json:"sum"` // s
}

const (
	// Standing is below which speed the car stands, m/s, and PauseAfter from when
	// on that is a pause: less is a slow corner or a start.
	Standing   = 0.5
	PauseAfter = 10 * time.Second
	// Absent is from which silence on the car is taken to have been switched off.
	Absent = time.Minute

	pauseAfter, absent = int64(PauseAfter / time.Microsecond), int64(Absent / time.Microsecond)
)

// Add takes the speed at a moment. A silence is a pause if the car stood when it
// began or ended, or if it is long.
func (p *Pause) Add(at int64, speed float64, gap int64) {
	if math.IsNaN(speed) {
		return
	}
	step := at - p.At
	stood := p.Since != 0
	switch {
	case p.At == 0:
	case step > gap && (step >= absent || step >= pauseAfter && (stood || speed < Standing)):
		p.Sum += float64(step) / 1e6
		if stood && p.At-p.Since < pauseAfter {
			p.Sum += float64(p.At-p.Since) / 1e6
		}
		p.Since = at - pauseAfter // counted up to here
	case step > gap:
		p.Since = 0
	case stood && at-p.Since >= pauseAfter:
		if p.At-p.Since < pauseAfter {
			p.Sum += float64(at-p.Since) / 1e6
		} else {
			p.Sum += float64(step) / 1e6
		}
	}
	switch {
	case speed >= Standing:
		p.Since = 0
	case p.Since == 0:
		p.Since = at
	}
	p.At = at
}

// Coast adds up how long the car rolled by itself.
type Coast struct {
	Known bool    `json:"known"`
	Speed float64 `json:"speed"` // the newest, m/s
	Off   bool    `json:"off"`   // the newest power was next to nothing
	Sum   float64 `json:"sum"`   // s
}

// idle is up to which power the motor is off, W either way: what electronics take.
const idle = 25

// Add takes what a record says, and how long before it the last power was, s; 0
// where that was beyond a gap.
func (c *Coast) Add(speed, power, took float64) {
	if !math.IsNaN(speed) {
		c.Known, c.Speed = true, speed
	}
	if math.IsNaN(power) {
		return
	}
	off := math.Abs(power) <= idle
	if off && c.Off && c.Known && c.Speed >= Standing {
		c.Sum += took
	}
	c.Off = off
}

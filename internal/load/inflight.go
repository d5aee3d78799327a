package load

import (
	"context"
	"math"
	"sync"
	"time"
)

// memory is how long ago an upload counts about a third.
const memory = 300 * time.Millisecond

// InFlight counts the uploads that are being stored. The zero value has none.
type InFlight struct {
	mu      sync.Mutex
	running int
	mean    float64 // of running over the last moments, as of at
	at      time.Time
	changed time.Time // when running last did
}

// Begin counts one more upload until end is called, once.
func (u *InFlight) Begin() (end func()) {
	u.change(1)
	return func() { u.change(-1) }
}

func (u *InFlight) change(by int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.settle()
	u.running += by
	u.changed = u.at
}

// settle lets the mean follow what has run since it was last asked for: exactly,
// since running is constant in between. u.mu is held.
func (u *InFlight) settle() {
	now := time.Now()
	u.mean += (float64(u.running) - u.mean) * (1 - math.Exp(-float64(now.Sub(u.at))/float64(memory)))
	u.at = now
}

// atOnce is how many uploads are stored at once, on the average of the last 300 ms.
func (u *InFlight) atOnce() float64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.settle()
	return u.mean
}

// Busy reports whether uploads are at work most of the time: work beside them
// should then take half of the machine at most.
func (u *InFlight) Busy() bool { return u.atOnce() > 0.5 }

// longestSilence is how long a bridge that sends says nothing.
const longestSilence = 2 * time.Second

// Idle reports whether no upload is stored, nor was lately: nobody has to wait for work
// that takes all of the machine.
func (u *InFlight) Idle() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.running == 0 && time.Since(u.changed) > longestSilence
}

const (
	// restShare is how many times as long as it took, work rests while one
	// upload after the other is stored. Measured with a thousand screens of a
	// 50 Hz car on two processors: less takes ingest more than a tenth of its
	// rate, more is seen on the screens.
	restShare = 6
	// longestRest bounds how late that makes a record.
	longestRest = 100 * time.Millisecond
)

// Rest is how long work that took that long should pause before it goes on. It
// grows with the square of the uploads, so that the few of a quiet day cost
// nothing.
func (u *InFlight) Rest(took time.Duration) time.Duration {
	busy := u.atOnce()
	return min(time.Duration(float64(took)*restShare*busy*busy), longestRest)
}

// quiet is how many uploads at once work that can wait lets pass: a bridge or two,
// which take a few milliseconds of a second each.
const quiet = 0.25

// Yield waits until hardly an upload is stored, but no longer than patience, or
// until ctx ends. It looks ten times a second.
func (u *InFlight) Yield(ctx context.Context, patience time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for ctx.Err() == nil && u.atOnce() > quiet {
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

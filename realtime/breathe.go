package realtime

import (
	"context"
	"math"
	"time"
)

// What breathe goes by.
const (
	// restShare is how many times as long as a round took there is nothing new
	// while one upload after the other is at work.
	restShare = 6
	// longestRound and longestRest bound how late a record may be on a machine
	// that has no time for it.
	longestRound = 150 * time.Millisecond
	longestRest  = 100 * time.Millisecond
	// crowd is how many connections may still have to be written to when the
	// next message is made.
	crowd  = 16
	glance = time.Millisecond
)

// breathe ends a round, which began when the hub told of new records: it waits
// until most connections were written to, and then, where uploads are at work,
// for a multiple of what the round took, so that fan-out takes its share of the
// machine and no more. Several commits then make one message. A thousand
// screens of a 50 Hz car would otherwise take both cores of a small machine
// from the uploads, for messages that no eye can tell apart. A few slow clients
// do not hold up the others.
func (st *Stream) breathe(ctx context.Context, begun time.Time) {
	st.mu.Lock()
	enough := max(crowd, len(st.peers)/10)
	st.mu.Unlock()
	for st.pace.waiting() > enough && time.Since(begun) < longestRound {
		if !pause(ctx, glance) {
			return
		}
	}
	now := time.Now()
	busy := st.uploads.atOnce(now)
	st.pace.share(busy > 0.5)
	rest := min(time.Duration(float64(now.Sub(begun))*restShare*busy*busy), longestRest)
	if rest < glance {
		return
	}
	st.hub.rest(rest)
	pause(ctx, rest)
}

// uploads knows how many uploads are at work at once, on the average of the
// last moments.
type uploads struct {
	total func() time.Duration // StreamOptions.Uploads
	at    time.Time
	seen  time.Duration
	mean  float64
}

// uploadsMemory is how long ago uploads count about a third.
const uploadsMemory = 300 * time.Millisecond

func (u *uploads) atOnce(now time.Time) float64 {
	if u.total == nil {
		return 0
	}
	seen := u.total()
	if since := now.Sub(u.at); since > 0 {
		newest := float64(seen-u.seen) / float64(since)
		u.mean += (newest - u.mean) * (1 - math.Exp(-float64(since)/float64(uploadsMemory)))
	}
	u.at, u.seen = now, seen
	return u.mean
}

// pause sleeps; it reports whether ctx still goes on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

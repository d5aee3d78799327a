package live

import (
	"context"
	"time"
)

// What throttle goes by.
const (
	// longestRound bounds how late a record may be on a machine that has no
	// time for it; load.Uploads.Rest comes on top.
	longestRound = 150 * time.Millisecond
	// crowd is how many connections may still have to be written to when the
	// next message is made.
	crowd  = 16
	glance = time.Millisecond
)

// throttle ends a round, which began when the hub told of new records: it waits
// until most connections were written to, and then, where uploads are at work,
// rests for a multiple of what the round took, so that fan-out takes its share of the
// machine and no more. Several commits then make one message. A thousand
// screens of a 50 Hz car would otherwise take both cores of a small machine
// from the uploads, for messages that no eye can tell apart. A few slow clients
// do not hold up the others.
func (st *Stream) throttle(ctx context.Context, begun time.Time) {
	st.mu.Lock()
	enough := max(crowd, len(st.conns)/10)
	st.mu.Unlock()
	for st.writers.waiting() > enough && time.Since(begun) < longestRound {
		if !pause(ctx, glance) {
			return
		}
	}
	st.writers.share(st.opt.Uploads.Busy())
	rest := st.opt.Uploads.Rest(time.Since(begun))
	if rest < glance {
		return
	}
	st.hub.Rest(rest)
	pause(ctx, rest)
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
